#include "kernels/contraction/labels.h"

#include "kernels/common/shape.h"

namespace tw {
namespace {

bool has(const std::string& labels, char c) { return labels.find(c) != std::string::npos; }

[[noreturn]] void reject(const DotLabels& l, const char* why) {
  throw Error(Code::kInvalidPlan, "dot '" + l.lhs + "," + l.rhs + "->" + l.out + "': " + why);
}

}  // namespace

DotLabels::DotLabels(const Attributes& attributes)
    : lhs(attributes.string("lhs")), rhs(attributes.string("rhs")), out(attributes.string("out")) {
  for (const std::string* labels : {&lhs, &rhs, &out}) {
    if (labels->size() > static_cast<size_t>(kMaxRank)) reject(*this, "too many labels");
    for (size_t i = 0; i < labels->size(); ++i) {
      if (labels->find((*labels)[i], i + 1) != std::string::npos)
        reject(*this, "a label is repeated within an operand");
    }
  }
  for (const char c : out) {
    if (has(lhs, c) && has(rhs, c))
      batch += c;
    else if (has(lhs, c))
      rows += c;
    else if (has(rhs, c))
      columns += c;
    else
      reject(*this, "an output label is in no input");
  }
  for (const char c : lhs) {
    if (has(out, c)) continue;
    if (!has(rhs, c)) reject(*this, "a summed label is in one input only");
    summed += c;
  }
  for (const char c : rhs) {
    if (!has(out, c) && !has(lhs, c)) reject(*this, "a summed label is in one input only");
  }
}

Space labelled_space(const std::string& labels, const std::string& tensor_labels, const Tensor& tensor) {
  Space space;
  space.operands = 1;
  for (const char c : labels) {
    const size_t axis = tensor_labels.find(c);
    space.add(tensor.dims[axis], &tensor.strides[axis]);
  }
  return space;
}

void check_dot(const DotLabels& l, const Epilogue& epilogue, std::span<const Tensor> inputs,
               std::span<const Tensor> outputs, bool packed) {
  require(inputs.size() >= 2 && outputs.size() == 1, Code::kInvalidPlan, "dot has inputs a, b and one output");
  const Tensor &a = inputs[0], &b = inputs[1], &out = outputs[0];
  const auto has_rank = [](const Tensor& t, const std::string& labels) {
    return t.rank == static_cast<int>(labels.size());
  };
  if (!has_rank(a, l.lhs) || (!packed && !has_rank(b, l.rhs)) || !has_rank(out, l.out)) {
    reject(l, "the tensors' ranks are not the labels'");
  }
  const auto agree = [&](const std::string& labels, const Tensor& t, const std::string& others, const Tensor& other) {
    for (size_t i = 0; i < labels.size(); ++i) {
      const size_t j = others.find(labels[i]);
      if (j != std::string::npos && t.dims[i] != other.dims[j]) reject(l, "the tensors' extents differ");
    }
  };
  agree(l.lhs, a, l.out, out);
  if (!packed) {
    agree(l.rhs, b, l.out, out);
    agree(l.lhs, a, l.rhs, b);
  }
  check_operands(epilogue, inputs.subspan(2), out);
}

GemmShape dot_shape(const DotLabels& l, const Tensor& a, const Tensor& out) {
  const auto extent = [](const std::string& labels, const std::string& of, const Tensor& t) {
    int64_t n = 1;
    for (const char c : labels) n *= t.dims[of.find(c)];
    return n;
  };
  return {extent(l.batch, l.out, out), extent(l.rows, l.out, out), extent(l.columns, l.out, out),
          extent(l.summed, l.lhs, a)};
}

Sink dot_sink(const DotLabels& l, const Epilogue& epilogue, std::span<const Tensor> inputs, const Tensor& out) {
  Sink s;
  s.epilogue = &epilogue;
  const auto sides = inputs.subspan(2);
  s.set_operands(out, sides);
  const auto add = [&](Space& space, const std::string& labels) {
    for (const char c : labels) {
      const int axis = static_cast<int>(l.out.find(c));
      int64_t strides[Space::kOperands] = {out.strides[axis]};
      for (size_t i = 0; i < sides.size(); ++i) strides[i + 1] = broadcast_stride(sides[i], out.rank, axis);
      space.add(out.dims[axis], strides);
    }
  };
  add(s.batch, l.batch);
  add(s.rows, l.rows);
  add(s.columns, l.columns);
  return s;
}

}  // namespace tw
