#include "kernels/common/signature.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

std::string count_text(int min, int max) { return min == max ? std::to_string(min) : std::to_string(min) + " to " + std::to_string(max); }

void check_count(const char* what, size_t count, int min, int max) {
  if (count < static_cast<size_t>(min) || count > static_cast<size_t>(max))
    throw Error(Code::kInvalidPlan, "there are " + std::to_string(count) + " " + what + ", expected " + count_text(min, max));
}

void check_dtype(const char* what, size_t index, const Tensor& t, DType expected) {
  if (t.dtype != expected)
    throw Error(Code::kInvalidPlan, std::string(what) + " " + std::to_string(index) + " is " + std::string(info(t.dtype).name) + ", expected " +
                                        std::string(info(expected).name));
}

bool omitted(const Tensor& t) { return t.rank < 0; }

}  // namespace

void check_types(const Signature& s, std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
  check_count("inputs", inputs.size(), s.min_inputs, s.max_inputs);
  check_count("outputs", outputs.size(), s.min_outputs, s.max_outputs);
  // What is omitted has no type; what has only no shape yet has one, and is looked at again with its shape.
  for (size_t i = 1; i < inputs.size() && i < 32; ++i)
    if (s.same_inputs >> i & 1 && !omitted(inputs[i])) check_dtype("input", i, inputs[i], inputs[0].dtype);
  for (size_t i = 0; i < outputs.size() && i < 32; ++i) {
    const bool skipped = i >= static_cast<size_t>(s.min_outputs) && omitted(outputs[i]);
    if (s.same_outputs >> i & 1 && !inputs.empty() && !skipped) check_dtype("output", i, outputs[i], inputs[0].dtype);
    if (s.int64_outputs >> i & 1 && !skipped) check_dtype("output", i, outputs[i], DType::kInt64);
  }
}

void check_shapes(const Signature& s, std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
  check_types(s, inputs, outputs);
  for (size_t i = 0; i < static_cast<size_t>(s.min_inputs); ++i)
    if (omitted(inputs[i])) throw Error(Code::kInvalidPlan, "input " + std::to_string(i) + " is omitted");
  if (s.sizes_outputs) return;
  for (size_t i = 0; i < static_cast<size_t>(s.min_outputs); ++i)
    if (omitted(outputs[i])) throw Error(Code::kInvalidPlan, "output " + std::to_string(i) + " has no shape");
  if (s.same_shape) expect_same_dims("output 0", outputs[0], inputs[0]);
}

void expect_rank(const char* what, const Tensor& t, int min, int max) {
  if (!omitted(t) && (t.rank < min || t.rank > max))
    throw Error(Code::kShapeMismatch, std::string(what) + " has rank " + std::to_string(t.rank) + ", expected " + count_text(min, max));
}

void expect_dims(const char* what, const Tensor& t, std::span<const int64_t> dims) {
  if (!omitted(t) && (static_cast<size_t>(t.rank) != dims.size() || !std::equal(dims.begin(), dims.end(), t.dims)))
    throw Error(Code::kShapeMismatch, std::string(what) + " has shape " + dims_text(extents(t)) + ", expected " + dims_text(dims));
}

void expect_same_dims(const char* what, const Tensor& t, const Tensor& as) { expect_dims(what, t, extents(as)); }

void expect_broadcast(const char* what, const Tensor& t, std::span<const int64_t> dims) {
  if (omitted(t)) return;
  const int rank = static_cast<int>(dims.size());
  bool fits = t.rank <= rank;
  for (int i = 0; fits && i < t.rank; ++i) fits = t.dims[i] == 1 || t.dims[i] == dims[static_cast<size_t>(rank - t.rank + i)];
  if (!fits) throw Error(Code::kShapeMismatch, std::string(what) + " has shape " + dims_text(extents(t)) + ", which does not broadcast to " + dims_text(dims));
}

void expect(bool ok, const char* message) {
  if (!ok) throw Error(Code::kShapeMismatch, message);
}

}  // namespace tw
