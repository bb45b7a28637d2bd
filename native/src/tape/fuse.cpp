// Chains of f32 operations that one loop computes: swish, GELU, and the clipped lines of hard-sigmoid and hard-swish.
#include <algorithm>
#include <optional>

#include "tape/program.h"

namespace tw {
namespace {

class Fuser {
 public:
  explicit Fuser(Program& program) : program_(program), users_(program.instructions.size()) {
    for (const Instruction& i : program.instructions)
      for (const int a : i.args)
        if (a >= 0) ++users_[static_cast<size_t>(a)];
    for (const Output& o : program.outputs)
      for (const int r : {o.value, o.unnarrowed, o.quantized})
        if (r >= 0) ++users_[static_cast<size_t>(r)];
  }

  void run() {
    for (size_t i = 0; i < program_.instructions.size(); ++i) {
      Instruction& own = program_.instructions[i];
      if (own.constant || own.type != ValueType::kF32 || own.from != ValueType::kF32) continue;
      if (own.op == Op::kMax || own.op == Op::kMin) clipped(own);
      if (own.op == Op::kMul) gated(own);
      if (own.op == Op::kMul) gelu(own);
    }
  }

 private:
  const Instruction& at(int i) const { return program_.instructions[static_cast<size_t>(i)]; }

  // The argument that is not a constant, and the constant.
  struct WithConstant {
    int x;
    float number;
  };
  std::optional<WithConstant> with_constant(const Instruction& i) const {
    for (const int k : {0, 1}) {
      const int c = i.args[static_cast<size_t>(1 - k)];
      if (at(c).constant && !at(i.args[static_cast<size_t>(k)]).constant)
        return WithConstant{i.args[static_cast<size_t>(k)],
                            float_of(static_cast<uint32_t>(program_.constants[static_cast<size_t>(c)]))};
    }
    return std::nullopt;
  }
  // Is `r` made by this operation, and read by one other only?
  bool only(int r, Op op) const {
    const Instruction& i = at(r);
    return i.op == op && i.type == ValueType::kF32 && !i.constant && users_[static_cast<size_t>(r)] == 1;
  }
  std::optional<WithConstant> link(int r, Op op) const {
    return only(r, op) ? with_constant(at(r)) : std::nullopt;
  }

  void clipped(Instruction& own) {
    const auto outer = with_constant(own);
    if (!outer) return;
    const bool upper = own.op == Op::kMin;
    const auto inner = link(outer->x, upper ? Op::kMax : Op::kMin);
    const auto sum = inner ? link(inner->x, Op::kAdd) : std::nullopt;
    const auto product = sum ? link(sum->x, Op::kMul) : std::nullopt;
    if (!product) return;
    const float low = upper ? inner->number : outer->number, high = upper ? outer->number : inner->number;
    if (!(low <= high)) return;  // then the order matters
    own.op = Op::kClipped;
    own.args = {product->x, -1, -1};
    own.numbers = {product->number, sum->number, low, high};
  }

  void gated(Instruction& own) {
    for (const int k : {0, 1}) {
      const int x = own.args[static_cast<size_t>(k)], gate = own.args[static_cast<size_t>(1 - k)];
      const Instruction& by = at(gate);
      if (by.args[0] != x || users_[static_cast<size_t>(gate)] != 1 || by.from != ValueType::kF32) continue;
      if (by.op != Op::kSigmoid && by.op != Op::kClipped) continue;
      own.op = by.op == Op::kSigmoid ? Op::kSwish : Op::kGatedClip;
      own.numbers = by.numbers;
      own.args = {x, -1, -1};
      return;
    }
  }

  void gelu(Instruction& own) {
    const auto half = with_constant(own);
    if (!half || half->number != 0.5f || !only(half->x, Op::kMul)) return;
    for (const size_t k : {0, 1}) {
      const int x = at(half->x).args[k];
      const auto sum = link(at(half->x).args[1 - k], Op::kAdd);
      if (!sum || sum->number != 1.0f || !only(sum->x, Op::kErf)) continue;
      const int argument = at(sum->x).args[0];
      const bool divided = only(argument, Op::kDiv);
      const auto scaled = link(argument, divided ? Op::kDiv : Op::kMul);
      if (!scaled || scaled->x != x || (divided && at(argument).args[0] != x)) continue;
      own.op = Op::kGelu;
      own.args = {x, -1, -1};
      own.numbers = {scaled->number, divided ? 1.0f : 0.0f, 0, 0};
      return;
    }
  }

  Program& program_;
  std::vector<int> users_;
};

}  // namespace

void remove_unused(Program& program) {
  auto& list = program.instructions;
  std::vector<bool> needed(list.size());
  for (const Output& o : program.outputs) needed[static_cast<size_t>(o.value)] = true;
  for (size_t i = list.size(); i-- > 0;)
    if (needed[i])
      for (const int a : list[i].args)
        if (a >= 0) needed[static_cast<size_t>(a)] = true;
  std::vector<int> moved(list.size(), -1);
  size_t kept = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!needed[i]) continue;
    for (int& a : list[i].args)
      if (a >= 0) a = moved[static_cast<size_t>(a)];
    moved[i] = static_cast<int>(kept);
    program.constants[kept] = program.constants[i];
    list[kept++] = list[i];
  }
  list.resize(kept);
  program.constants.resize(kept);
  for (Output& o : program.outputs)
    for (int* r : {&o.value, &o.unnarrowed, &o.quantized})
      if (*r >= 0) *r = moved[static_cast<size_t>(*r)];
}

void fuse_chains(Program& program) {
  Fuser(program).run();
  remove_unused(program);
}

}  // namespace tw
