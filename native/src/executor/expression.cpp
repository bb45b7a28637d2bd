#include "executor/expression.h"

#include <algorithm>

#include "base/error.h"
#include "executor/checked.h"

namespace tw {
namespace {

constexpr size_t kMaxDepth = 64;

int64_t known(std::optional<int64_t> value) {
  // kUnbound is the one int64 that no dimension can have.
  if (!value || *value == kUnbound) throw Error(Code::kLimitExceeded, "a dimension exceeds 64 bits");
  return *value;
}

int64_t floor_div(int64_t a, int64_t b) {
  if (b == 0) throw Error(Code::kInvalidArgument, "division of the dimension " + std::to_string(a) + " by zero");
  return known(checked_floor_div(a, b));
}

int64_t floor_mod(int64_t a, int64_t b) {
  if (b == 0) throw Error(Code::kInvalidArgument, "remainder of the dimension " + std::to_string(a) + " by zero");
  return known(checked_floor_mod(a, b));
}

}  // namespace

Expression::Expression(std::vector<Token> code, size_t symbols, const std::string& where) : code_(std::move(code)) {
  size_t depth = 0;
  for (const Token& t : code_) {
    if (t.op == Op::kConstant || t.op == Op::kSymbol) {
      if (t.op == Op::kSymbol && (t.value < 0 || static_cast<size_t>(t.value) >= symbols))
        throw Error(Code::kInvalidPlan, where + ": symbol " + std::to_string(t.value) + " does not exist");
      constant_ = constant_ && t.op == Op::kConstant;
      ++depth;
    } else {
      if (depth < 2) throw Error(Code::kInvalidPlan, where + ": an operator lacks its two operands");
      --depth;
    }
    if (depth > kMaxDepth) throw Error(Code::kInvalidPlan, where + ": nested too deeply");
  }
  if (depth != 1) throw Error(Code::kInvalidPlan, where + ": leaves " + std::to_string(depth) + " values, expected 1");
}

int64_t Expression::run(std::span<const int64_t> symbols) const {
  int64_t stack[kMaxDepth];
  size_t top = 0;
  for (const Token& t : code_) {
    if (t.op == Op::kConstant) {
      stack[top++] = t.value;
      continue;
    }
    if (t.op == Op::kSymbol) {
      const int64_t value = symbols[static_cast<size_t>(t.value)];
      if (value == kUnbound) return kUnbound;
      stack[top++] = value;
      continue;
    }
    const int64_t b = stack[--top];
    int64_t& a = stack[top - 1];
    switch (t.op) {
      case Op::kAdd:
        a = known(checked_add(a, b));
        break;
      case Op::kMul:
        a = known(checked_mul(a, b));
        break;
      case Op::kFloorDiv:
        a = floor_div(a, b);
        break;
      case Op::kMod:
        a = floor_mod(a, b);
        break;
      case Op::kMin:
        a = std::min(a, b);
        break;
      default:
        a = std::max(a, b);
        break;
    }
  }
  return stack[0];
}

}  // namespace tw
