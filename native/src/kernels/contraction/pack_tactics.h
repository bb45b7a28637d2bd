// What the dispatcher in pack.cpp and the registration reach of each tactic.
#pragma once
#include <memory>
#include <span>

#include "base/kernel.h"
#include "kernels/common/shape.h"

namespace tw {

// A row-major float32 tensor over the weights.
inline Tensor dense_weights(const float* data, std::span<const int64_t> dims) {
  require(dims.size() <= kMaxRank, Code::kInvalidArgument, "weights have too many dims");
  Tensor t;
  t.data = const_cast<float*>(data);
  t.rank = static_cast<int>(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) t.dims[i] = dims[i];
  t.set_row_major();
  return t;
}

size_t packed_dot_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack_dot(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);

size_t packed_conv_gemm_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack_conv_gemm(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);

size_t packed_depthwise_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack_depthwise(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);

size_t packed_winograd_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack_winograd(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);

size_t packed_conv_transpose_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack_conv_transpose(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);

// Of narrow elements; the attribute "weights" names their dtype.
size_t packed_dot_narrow_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack_dot_narrow(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);
size_t packed_conv_narrow_bytes(const Attributes& attributes, std::span<const int64_t> weight_dims);
void pack_conv_narrow(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);

std::unique_ptr<Kernel> make_dot_f32(const StepInfo& step);
std::unique_ptr<Kernel> make_conv_f32(const StepInfo& step);
std::unique_ptr<Kernel> make_conv_transpose_f32(const StepInfo& step);
std::unique_ptr<Kernel> make_dot_narrow(const StepInfo& step);
std::unique_ptr<Kernel> make_conv_narrow(const StepInfo& step);
std::unique_ptr<Kernel> make_dot_any(const StepInfo& step);
std::unique_ptr<Kernel> make_conv_any(const StepInfo& step);
std::unique_ptr<Kernel> make_conv_transpose_any(const StepInfo& step);

}  // namespace tw
