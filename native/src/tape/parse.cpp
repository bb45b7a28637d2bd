// Reads the text of a tape, checks every register and type, and rewrites what has a cheaper equal.
#include <algorithm>
#include <charconv>
#include <locale>
#include <map>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "tape/block_ops.h"

namespace tw {
namespace {

constexpr size_t kMaxInstructions = 4096;

enum class Form {
  kFloatUnary,
  kUnary,
  kIntegerUnary,
  kPredicate,
  kLogicalUnary,
  kBinary,
  kIntegerBinary,
  kLogicalBinary,
  kComparison
};
struct OpInfo {
  std::string_view name;
  Op op;
  Form form;
};
constexpr OpInfo kOpInfo[] = {
    {"neg", Op::kNeg, Form::kUnary},
    {"abs", Op::kAbs, Form::kUnary},
    {"sign", Op::kSign, Form::kUnary},
    {"floor", Op::kFloor, Form::kUnary},
    {"ceil", Op::kCeil, Form::kUnary},
    {"round", Op::kRound, Form::kUnary},
    {"trunc", Op::kTrunc, Form::kUnary},
    {"sqrt", Op::kSqrt, Form::kFloatUnary},
    {"rsqrt", Op::kRsqrt, Form::kFloatUnary},
    {"exp", Op::kExp, Form::kFloatUnary},
    {"log", Op::kLog, Form::kFloatUnary},
    {"sin", Op::kSin, Form::kFloatUnary},
    {"cos", Op::kCos, Form::kFloatUnary},
    {"tan", Op::kTan, Form::kFloatUnary},
    {"asin", Op::kAsin, Form::kFloatUnary},
    {"acos", Op::kAcos, Form::kFloatUnary},
    {"atan", Op::kAtan, Form::kFloatUnary},
    {"sinh", Op::kSinh, Form::kFloatUnary},
    {"cosh", Op::kCosh, Form::kFloatUnary},
    {"tanh", Op::kTanh, Form::kFloatUnary},
    {"asinh", Op::kAsinh, Form::kFloatUnary},
    {"acosh", Op::kAcosh, Form::kFloatUnary},
    {"atanh", Op::kAtanh, Form::kFloatUnary},
    {"erf", Op::kErf, Form::kFloatUnary},
    {"sigmoid", Op::kSigmoid, Form::kFloatUnary},
    {"reciprocal", Op::kReciprocal, Form::kFloatUnary},
    {"isnan", Op::kIsNan, Form::kPredicate},
    {"isposinf", Op::kIsPosInf, Form::kPredicate},
    {"isneginf", Op::kIsNegInf, Form::kPredicate},
    {"not", Op::kNot, Form::kLogicalUnary},
    {"bitnot", Op::kBitNot, Form::kIntegerUnary},
    {"add", Op::kAdd, Form::kBinary},
    {"sub", Op::kSub, Form::kBinary},
    {"mul", Op::kMul, Form::kBinary},
    {"div", Op::kDiv, Form::kBinary},
    {"mod", Op::kMod, Form::kBinary},
    {"fmod", Op::kFmod, Form::kBinary},
    {"pow", Op::kPow, Form::kBinary},
    {"min", Op::kMin, Form::kBinary},
    {"max", Op::kMax, Form::kBinary},
    {"and", Op::kAnd, Form::kLogicalBinary},
    {"or", Op::kOr, Form::kLogicalBinary},
    {"xor", Op::kXor, Form::kLogicalBinary},
    {"bitand", Op::kBitAnd, Form::kIntegerBinary},
    {"bitor", Op::kBitOr, Form::kIntegerBinary},
    {"bitxor", Op::kBitXor, Form::kIntegerBinary},
    {"shl", Op::kShl, Form::kIntegerBinary},
    {"shr", Op::kShr, Form::kIntegerBinary},
    {"eq", Op::kEq, Form::kComparison},
    {"ne", Op::kNe, Form::kComparison},
    {"lt", Op::kLt, Form::kComparison},
    {"le", Op::kLe, Form::kComparison},
    {"gt", Op::kGt, Form::kComparison},
    {"ge", Op::kGe, Form::kComparison},
};

constexpr bool is_float(ValueType t) { return t == ValueType::kF32 || t == ValueType::kF64; }

class Parser {
 public:
  Parser(const std::vector<std::string>& text, const std::vector<int64_t>& results) : text_(text), results_(results) {}

  Program parse() {
    if (text_.size() > kMaxInstructions) throw Error(Code::kLimitExceeded, "a tape has more than 4096 instructions");
    for (line_ = 0; line_ < text_.size(); ++line_) {
      std::istringstream words(text_[line_]);
      words_.clear();
      for (std::string word; words >> word;) words_.push_back(word);
      registers_.push_back(instruction());
    }
    for (const int64_t result : results_) {
      if (result < 0 || result >= static_cast<int64_t>(registers_.size()))
        throw Error(Code::kInvalidPlan, "a tape stores register " + std::to_string(result) + ", which it lacks");
      program_.outputs.push_back(output(registers_[static_cast<size_t>(result)]));
    }
    remove_unused(program_);
    return std::move(program_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::kInvalidPlan, "tape instruction " + std::to_string(line_) + " '" + text_[line_] + "': " + what);
  }

  const std::string& word(size_t i) const {
    if (i >= words_.size()) fail("is too short");
    return words_[i];
  }
  void expect_words(size_t count) const {
    if (words_.size() != count) fail("expected " + std::to_string(count) + " words");
  }

  ValueType domain(size_t i) const {
    const std::string& w = word(i);
    if (w == "f32") return ValueType::kF32;
    if (w == "f64") return ValueType::kF64;
    if (w == "i64") return ValueType::kI64;
    if (w == "u64") return ValueType::kU64;
    fail("'" + w + "' is no domain");
  }

  template <typename T>
  T integer(const std::string& w) const {
    T value{};
    const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), value);
    if (error != std::errc() || end != w.data() + w.size()) fail("'" + w + "' is no integer of this domain");
    return value;
  }

  double number(const std::string& w) const {
    if (w == "nan" || w == "NaN") return __builtin_nan("");
    if (w == "inf" || w == "Infinity") return __builtin_inf();
    if (w == "-inf" || w == "-Infinity") return -__builtin_inf();
    std::istringstream in(w);
    in.imbue(std::locale::classic());
    double value = 0;
    in >> value;
    // Out of range: the stream gives the largest number or zero and fails; both are what is meant.
    if ((in.fail() && value == 0 && w.find_first_of("eE") == std::string::npos) || in.peek() != EOF)
      fail("'" + w + "' is no number");
    return value;
  }

  int reg(size_t i) const {
    const int64_t k = integer<int64_t>(word(i));
    if (k < 0 || k >= static_cast<int64_t>(registers_.size())) fail("register " + word(i) + " is not defined before");
    return registers_[static_cast<size_t>(k)];
  }

  Instruction& at(int i) { return program_.instructions[static_cast<size_t>(i)]; }

  int emit(Instruction instruction) {
    program_.instructions.push_back(instruction);
    program_.constants.push_back(0);
    return static_cast<int>(program_.instructions.size()) - 1;
  }
  int emit(Op op, ValueType type, ValueType from, int a, int b = -1, int c = -1) {
    Instruction i;
    i.op = op, i.type = type, i.from = from, i.args = {a, b, c};
    return emit(i);
  }

  // Register `r` as type `t`. Reading an integer operand as floats or truth values needs no 64-bit integers in between.
  int converted(int r, ValueType t, bool saturate = false) {
    const Instruction source = at(r);
    if (source.type == t) return r;
    const auto [known, added] = conversions_.try_emplace({r, t, saturate}, -1);
    if (!added) return known->second;
    Instruction i;
    if (source.op == Op::kIn && !is_float(source.type) && (t == ValueType::kF32 || t == ValueType::kMask)) {
      i = source;
      i.type = t;
      i.from = source.from;  // the domain that was named
    } else {
      i.op = Op::kConvert, i.type = t, i.from = source.type, i.args[0] = r, i.kind.saturate = saturate;
    }
    return known->second = emit(i);
  }
  // A register of the named domain; truth values count as i64.
  int typed(size_t word_index, ValueType t) {
    const int r = reg(word_index);
    if (at(r).type == t) return r;
    if (t == ValueType::kI64 && at(r).type == ValueType::kMask) return converted(r, t);
    fail("register " + word(word_index) + " is of another domain");
  }
  int truth(size_t word_index, ValueType named) {
    const int r = reg(word_index);
    const ValueType t = at(r).type;
    if (t != ValueType::kMask && t != named) fail("register " + word(word_index) + " is of another domain");
    return converted(r, ValueType::kMask);
  }

  int instruction() {
    const std::string& name = word(0);
    if (name == "narrow") return narrow();
    const ValueType t = domain(1);
    if (name == "in") return in(t);
    if (name == "const") return constant(t);
    if (name == "select") {
      expect_words(5);
      const int c = truth(2, ValueType::kI64), a = typed(3, t), b = typed(4, t);
      return emit(Op::kSelect, t, t, c, a, b);
    }
    if (name == "convert") {
      const ValueType from = domain(2);
      const bool saturate = words_.size() == 5 && words_[4] == "saturate";
      expect_words(saturate ? 5 : 4);
      const int r = reg(3);
      if (at(r).type == ValueType::kMask && from == ValueType::kI64) return converted(r, t);
      return converted(typed(3, from), t, saturate);
    }
    const auto info =
        std::find_if(std::begin(kOpInfo), std::end(kOpInfo), [&](const OpInfo& o) { return o.name == name; });
    if (info == std::end(kOpInfo)) fail("'" + name + "' is no operation");
    return operation(*info, t);
  }

  int in(ValueType t) {
    expect_words(3);
    const int64_t operand = integer<int64_t>(word(2));
    if (operand < 0 || operand > 1000) fail("operand out of range");
    program_.operands = std::max(program_.operands, static_cast<int>(operand) + 1);
    Instruction i;
    i.op = Op::kIn, i.type = i.from = t, i.operand = static_cast<int>(operand);
    return emit(i);
  }

  int constant(ValueType t) {
    expect_words(3);
    const int r = emit(Op::kConst, t, t, -1);
    at(r).constant = true;
    uint64_t& cell = program_.constants.back();
    switch (t) {
      case ValueType::kF32:
        cell = bits_of(static_cast<float>(number(word(2))));
        break;
      case ValueType::kF64:
        cell = bits_of(number(word(2)));
        break;
      case ValueType::kI64:
        cell = static_cast<uint64_t>(integer<int64_t>(word(2)));
        break;
      default:
        cell = integer<uint64_t>(word(2));
        break;
    }
    return r;
  }

  int narrow() {
    DType dtype;
    try {
      dtype = dtype_from_name(word(1));
    } catch (const Error&) {
      fail("'" + word(1) + "' is no dtype");
    }
    const int r = reg(2);
    if (dtype == DType::kBool) {
      expect_words(3);
      return converted(r, ValueType::kMask);
    }
    Instruction i;
    size_t next = 3;
    if (next < words_.size() && words_[next] == "saturate") i.kind.saturate = true, ++next;
    if (next < words_.size()) {
      const std::string& mode = words_[next++];
      if (mode == "up")
        i.kind.round = RoundMode::kUp;
      else if (mode == "down")
        i.kind.round = RoundMode::kDown;
      else if (mode == "nearest")
        i.kind.round = RoundMode::kNearest;
      else
        fail("'" + mode + "' is no way of narrowing");
    }
    expect_words(next);
    const ValueType t = value_type(info(dtype).domain);
    i.op = Op::kNarrow, i.type = i.from = t, i.args[0] = typed(2, t), i.dtype = dtype;
    if (const int whole = unclamped(i.args[0], dtype); whole >= 0) i.args[0] = whole, i.kind.saturate = true;
    if (!block_ops().narrow[static_cast<int>(dtype)][i.kind.index()]) fail("no numbers of this dtype");
    if (info(dtype).bits == 64 || dtype == DType::kFloat32) return i.args[0];
    return emit(i);
  }

  // The register without its clamping, if it is floats clamped to the very range of an integer dtype and then
  // converted: a saturating narrow does the same, and quantises straight from floats. -1 if it is anything else.
  int unclamped(int r, DType dtype) {
    const Instruction& whole = at(r);
    if (whole.op != Op::kConvert || whole.type != ValueType::kI64 || whole.from != ValueType::kF32 ||
        info(dtype).bits > 16)
      return -1;
    const IntegerRange range = integer_range(dtype);
    bool low = false, high = false;
    int x = whole.args[0];
    for (int step = 0; step < 2; ++step) {
      const Instruction& clamp = at(x);
      if (clamp.op != Op::kMin && clamp.op != Op::kMax) return -1;
      const int64_t bound = clamp.op == Op::kMin ? range.high : range.low;
      const auto is_bound = [&](int k) {
        return at(k).constant &&
               float_of(static_cast<uint32_t>(program_.constants[static_cast<size_t>(k)])) == static_cast<float>(bound);
      };
      const bool second = is_bound(clamp.args[1]);
      if (!second && !is_bound(clamp.args[0])) return -1;
      (clamp.op == Op::kMin ? high : low) = true;
      x = clamp.args[second ? 0 : 1];
    }
    return low && high ? converted(x, ValueType::kI64) : -1;
  }

  int operation(const OpInfo& info, ValueType t) {
    const bool unary = info.form <= Form::kLogicalUnary;
    expect_words(unary ? 3 : 4);
    const auto undefined = [&] { fail("'" + words_[0] + "' is not defined in domain " + words_[1]); };
    switch (info.form) {
      case Form::kFloatUnary:
        if (!is_float(t)) undefined();
        return emit(info.op, t, t, typed(2, t));
      case Form::kIntegerUnary:
        if (is_float(t)) undefined();
        return emit(info.op, t, t, typed(2, t));
      case Form::kUnary:
        return emit(info.op, t, t, typed(2, t));
      case Form::kPredicate:
        if (!is_float(t)) undefined();
        return emit(info.op, ValueType::kMask, t, typed(2, t));
      case Form::kLogicalUnary:
        return emit(info.op, ValueType::kMask, ValueType::kMask, truth(2, t));
      case Form::kLogicalBinary: {
        const int a = truth(2, t), b = truth(3, t);
        return emit(info.op, ValueType::kMask, ValueType::kMask, a, b);
      }
      case Form::kIntegerBinary:
        if (is_float(t)) undefined();
        break;
      default:
        break;
    }
    const int a = typed(2, t), b = typed(3, t);
    if (info.op == Op::kGt) return emit(Op::kLt, ValueType::kMask, t, b, a);
    if (info.op == Op::kGe) return emit(Op::kLe, ValueType::kMask, t, b, a);
    if (info.op == Op::kPow && is_float(t)) return power(t, a, b);
    return emit(info.op, info.form == Form::kComparison ? ValueType::kMask : t, t, a, b);
  }

  // x^1, x^2, x^3: what normalisations and GELU are written with.
  int power(ValueType t, int a, int b) {
    const Instruction& exponent = at(b);
    const uint64_t cell = program_.constants[static_cast<size_t>(b)];
    const double n = !exponent.constant     ? 0.0
                     : t == ValueType::kF32 ? static_cast<double>(float_of(static_cast<uint32_t>(cell)))
                                            : double_of(cell);
    if (n == 1) return a;
    if (n != 2 && n != 3) return emit(Op::kPow, t, t, a, b);
    const int square = emit(Op::kMul, t, t, a, a);
    return n == 2 ? square : emit(Op::kMul, t, t, square, a);
  }

  Output output(int r) {
    Output o;
    o.value = r;
    const Instruction narrowed = at(r);
    if (narrowed.op != Op::kNarrow) return o;
    o.unnarrowed = narrowed.args[0], o.dtype = narrowed.dtype, o.kind = narrowed.kind;
    const Instruction whole = at(o.unnarrowed);
    const bool quantizes = whole.op == Op::kConvert && whole.type == ValueType::kI64 && whole.from == ValueType::kF32;
    if (quantizes && narrowed.kind.saturate && block_ops().quantize[static_cast<int>(narrowed.dtype)][0])
      o.quantized = whole.args[0];
    return o;
  }

  const std::vector<std::string>& text_;
  const std::vector<int64_t>& results_;
  Program program_;
  std::vector<int> registers_;  // of the text, to instructions
  std::map<std::tuple<int, ValueType, bool>, int> conversions_;
  size_t line_ = 0;
  std::vector<std::string> words_;
};

}  // namespace

Program parse_program(const std::vector<std::string>& text, const std::vector<int64_t>& results) {
  Program program = Parser(text, results).parse();
  fold_constants(program);
  fuse_chains(program);
  allocate_slots(program);
  return program;
}

}  // namespace tw
