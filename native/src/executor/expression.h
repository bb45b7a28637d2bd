// A dimension as the plan writes it: postfix integer code over the program's symbols.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace tw {

// The value of a symbol nobody has bound yet.
constexpr int64_t kUnbound = std::numeric_limits<int64_t>::min();

class Expression {
 public:
  enum class Op : uint8_t { kConstant, kSymbol, kAdd, kMul, kFloorDiv, kMod, kMin, kMax };
  struct Token {
    Op op;
    int64_t value = 0;  // the constant, or the symbol's index
  };

  // Throws kInvalidPlan, naming `where`, unless the code leaves exactly one value and its symbols exist.
  Expression(std::vector<Token> code, size_t symbols, const std::string& where);

  // kUnbound when a symbol in it is. Throws kLimitExceeded on overflow, kInvalidArgument on division by zero.
  int64_t evaluate(std::span<const int64_t> symbols) const {
    if (code_.size() == 1) return code_[0].op == Op::kConstant ? code_[0].value : symbols[size_t(code_[0].value)];
    return run(symbols);
  }

  bool constant() const { return constant_; }
  // The symbol when the expression is nothing but one, else -1.
  int single_symbol() const {
    return code_.size() == 1 && code_[0].op == Op::kSymbol ? static_cast<int>(code_[0].value) : -1;
  }
  template <typename F>
  bool any_symbol(F&& test) const {
    for (const Token& t : code_)
      if (t.op == Op::kSymbol && test(static_cast<size_t>(t.value))) return true;
    return false;
  }

 private:
  int64_t run(std::span<const int64_t> symbols) const;

  std::vector<Token> code_;
  bool constant_ = true;
};

}  // namespace tw
