#include "kernels/contraction/pack.h"

#include "kernels/contraction/pack_tactics.h"

namespace tw {
namespace {

struct Tactic {
  std::string_view name;
  size_t (*bytes)(const Attributes& attributes, std::span<const int64_t> weight_dims);
  void (*pack)(const Attributes& attributes, const Tensor& weights, std::byte* out, ThreadPool& pool);
  bool narrow = false;
};

constexpr Tactic kTactics[] = {
    {"dot", packed_dot_bytes, pack_dot},
    {"conv.indirect", packed_conv_gemm_bytes, pack_conv_gemm},
    {"conv.depthwise", packed_depthwise_bytes, pack_depthwise},
    {"conv.nchw", packed_conv_gemm_bytes, pack_conv_gemm},
    {"conv.winograd2", packed_winograd_bytes, pack_winograd},
    {"conv.winograd4", packed_winograd_bytes, pack_winograd},
    {"dot.narrow", packed_dot_narrow_bytes, pack_dot_narrow, true},
    {"conv.narrow", packed_conv_narrow_bytes, pack_conv_narrow, true},
    {"convTranspose", packed_conv_transpose_bytes, pack_conv_transpose},
};

const Tactic& find(std::string_view name) {
  for (const Tactic& tactic : kTactics) {
    if (tactic.name == name) return tactic;
  }
  throw Error(Code::kInvalidArgument, "no packed weights for tactic '" + std::string(name) + "'");
}

}  // namespace

size_t packed_bytes(std::string_view tactic, const Attributes& attributes, std::span<const int64_t> weight_dims) {
  return find(tactic).bytes(attributes, weight_dims);
}

void pack(std::string_view tactic, const Attributes& attributes, const Tensor& weights, std::byte* out,
          ThreadPool& pool) {
  const Tactic& found = find(tactic);
  require(weights.dtype == (found.narrow ? dtype_from_name(attributes.string("weights")) : DType::kFloat32),
          Code::kInvalidArgument, "weights to be packed have another dtype than the tactic's");
  found.pack(attributes, weights, out, pool);
}

}  // namespace tw
