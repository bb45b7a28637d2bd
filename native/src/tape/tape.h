// The SIMD block tape: a straight-line scalar program in SSA form, run over blocks of elements so that
// intermediates stay in the first-level cache. It is how fused map groups and all epilogues are computed.
//
// Text form, one instruction per string, as the plan carries it: "op domain args…". Register k is instruction k's
// result.
//   "in f32 0"        operand 0, widened from its dtype into the domain; float dtypes cannot be read as integers
//   "const f32 0.5"   "const i64 -3"; floats also "inf", "-inf", "nan"
//   "add f32 0 1"     registers 0 and 1, both of the named domain
//   "lt f32 0 1"      comparisons and isnan, isposinf, isneginf read the named domain and give 0 or 1 in i64
//   "and i64 0 1"     and, or, xor, not: logical, any non-zero is true, 0 or 1 in i64; bitand, bitor, bitxor, bitnot:
//   bits "select f32 c a b"  c is an i64 register "convert f32 i64 3" register 3 from domain i64 to f32. To integers:
//   truncates towards zero, what does not fit becomes
//                     the nearest value, NaN 0; to u64 negative numbers are taken modulo 2^64, unless "… saturate" ends
//                     the instruction: then they become 0
//   "narrow int8 3"   register 3 (of int8's domain) rounded to a value of that dtype and back: a cast inside a program.
//                     Integers wrap, floats overflow to infinity or NaN; "narrow int8 3 saturate" clamps instead.
//                     float8e8m0 takes up, down or nearest as a last word (default up). "narrow bool" takes any domain.
// Unary: neg abs sign floor ceil round (half to even) trunc sqrt rsqrt exp log sin cos tan asin acos atan sinh cosh
// tanh asinh acosh atanh erf sigmoid reciprocal isnan isposinf isneginf not bitnot. Binary: add sub mul div mod (sign
// of the divisor) fmod (sign of the dividend) pow min max (NaN wins) and or xor bitand bitor bitxor shl shr eq ne lt le
// gt ge. Integers wrap at 64 bits; dividing by zero gives 0.
//
// A result is stored as by an unsaturated narrow to its dtype. Results do not depend on the instruction set.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace tw {

// One operand of a row: element i of the row is at data + i * stride elements (stride 0: one value for the row).
// Operands and results narrower than a byte start at a byte and have stride 1 (operands also 0).
struct TapeOperand {
  const void* data;
  DType dtype;
  int64_t stride;
};
struct TapeResult {
  void* data;
  DType dtype;
  int64_t stride;
};

class Tape {
 public:
  // `results[i]` is the register stored to output i. Throws kInvalidPlan on malformed text.
  static std::shared_ptr<const Tape> parse(const std::vector<std::string>& instructions,
                                           const std::vector<int64_t>& results);
  virtual ~Tape() = default;
  // Computes `rows` rows of `count` elements. Row r of operand k begins r * operand_rows[k] elements after the first
  // (for types narrower than a byte a whole number of bytes). In-place (an output aliasing an operand element for
  // element) is allowed. Thread-safe; scratch lives on the stack.
  virtual void run_rows(int64_t rows, int64_t count, std::span<const TapeOperand> operands,
                        std::span<const TapeResult> results, std::span<const int64_t> operand_rows,
                        std::span<const int64_t> result_rows) const = 0;
  // One row.
  void run(int64_t count, std::span<const TapeOperand> operands, std::span<const TapeResult> results) const {
    run_rows(1, count, operands, results, {}, {});
  }
  virtual int instructions() const = 0;  // a measure of the work per element
  virtual int operands() const = 0;      // one more than the highest operand named
};

}  // namespace tw
