// What the convolution tactics share.
#pragma once
#include "kernels/contraction/conv_geometry.h"
#include "kernels/contraction/conv_rows.h"
#include "kernels/contraction/gemm.h"
#include "kernels/contraction/pack_tactics.h"

namespace tw {

// Inputs of every conv kernel: x, weights, bias (perhaps absent), side operands…
void check_conv_step(const StepInfo& step, bool packed);

// What every conv kernel's check() begins with: counts, ranks, extents, bias, side operands and, where `packed` is
// false, the weights' dims.
ConvGeometry check_conv(const ConvAttributes& attributes, const Epilogue& epilogue, std::span<const Tensor> inputs,
                        std::span<const Tensor> outputs, bool packed, bool transposed = false);

// Batches are groups, rows output points, columns the output channels of a group.
Sink conv_sink(const ConvGeometry& geometry, const Epilogue& epilogue, std::span<const Tensor> inputs, const Tensor& y);

// As a matrix product: the order of the sum, the weights as B, and the points of an unpadded 1 x 1 convolution as A.
ConvOrder conv_order(const ConvAttributes& attributes);
struct ConvWeightSpaces {
  Space groups, k, columns;
};
ConvWeightSpaces conv_weight_spaces(const ConvAttributes& attributes, const Tensor& weights);
struct PointwiseSpaces {
  Space groups, rows, k;
};
PointwiseSpaces pointwise_spaces(const ConvGeometry& geometry);

std::unique_ptr<Kernel> make_conv_gemm(const StepInfo& step);
std::unique_ptr<Kernel> make_depthwise(const StepInfo& step);
std::unique_ptr<Kernel> make_winograd(const StepInfo& step);

}  // namespace tw
