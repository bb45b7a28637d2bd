// The labelled dims of a dot: which are batch, rows, columns and summed, and their extents and strides.
#pragma once
#include <string>
#include <vector>

#include "base/kernel.h"
#include "kernels/contraction/gemm.h"

namespace tw {

struct DotLabels {
  std::string lhs, rhs, out;
  std::string batch, rows, columns;  // in the order of `out`
  std::string summed;                // in the order of `lhs`

  // Reads "lhs", "rhs", "out". Throws kInvalidPlan unless every label is in two of them or in all three, once each.
  explicit DotLabels(const Attributes& attributes);
};

// The dims of `tensor` that carry these labels, as a space of one operand.
Space labelled_space(const std::string& labels, const std::string& tensor_labels, const Tensor& tensor);

// Throws kInvalidPlan unless the tensors have these labels' ranks and agree in every extent. A packed b is not looked
// at.
void check_dot(const DotLabels& labels, const Epilogue& epilogue, std::span<const Tensor> inputs,
               std::span<const Tensor> outputs, bool packed);

GemmShape dot_shape(const DotLabels& labels, const Tensor& a, const Tensor& out);
// Inputs from the third on are side operands.
Sink dot_sink(const DotLabels& labels, const Epilogue& epilogue, std::span<const Tensor> inputs, const Tensor& out);

}  // namespace tw
