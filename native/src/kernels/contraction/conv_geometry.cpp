#include "kernels/contraction/conv_geometry.h"

namespace tw {

ConvAttributes::ConvAttributes(const Attributes& a)
    : kernel(a.integers("kernelShape")),
      strides(a.integers("strides")),
      dilations(a.integers("dilations")),
      pads(a.integers("pads")),
      group(a.integer("group", 1)),
      algorithm(a.string("algorithm", "indirect")) {
  const size_t n = kernel.size();
  if (strides.empty()) strides.assign(n, 1);
  if (dilations.empty()) dilations.assign(n, 1);
  if (pads.empty()) pads.assign(2 * n, 0);
  require(strides.size() == n && dilations.size() == n && pads.size() == 2 * n, Code::kInvalidPlan,
          "conv: strides, dilations and pads must match kernelShape");
  for (const int64_t p : pads) require(p >= 0, Code::kInvalidPlan, "conv: pads must not be negative");
  require(group >= 1, Code::kInvalidPlan, "conv: group must be positive");
  for (size_t i = 0; i < n; ++i) {
    require(kernel[i] >= 1 && strides[i] >= 1 && dilations[i] >= 1, Code::kInvalidPlan,
            "conv: kernelShape, strides and dilations must be positive");
  }
}

bool ConvGeometry::unpadded() const {
  for (int i = 0; i < 3; ++i) {
    if (pad[i] > 0 || (out[i] - 1) * stride[i] - pad[i] + (kernel[i] - 1) * dilation[i] >= in[i]) return false;
  }
  return true;
}

ConvGeometry conv_geometry(const ConvAttributes& a, const Tensor& x, const Tensor& y) {
  ConvGeometry g;
  g.spatial = static_cast<int>(a.kernel.size());
  require(g.spatial >= 1 && g.spatial <= 3, Code::kInvalidPlan, "conv: one to three spatial dims");
  require(x.rank == g.spatial + 2 && y.rank == x.rank, Code::kInvalidPlan,
          "conv: x and y must have the kernel's rank plus two");
  require(x.dims[0] == y.dims[0], Code::kInvalidPlan, "conv: x and y differ in batch");
  require(x.dims[1] % a.group == 0 && y.dims[1] % a.group == 0, Code::kInvalidPlan,
          "conv: channels must be multiples of group");
  g.batch = x.dims[0];
  g.groups = a.group;
  g.channels = x.dims[1] / a.group;
  g.outputs = y.dims[1] / a.group;
  g.x_batch = x.strides[0], g.x_channel = x.strides[1];
  g.y_batch = y.strides[0], g.y_channel = y.strides[1];
  for (int i = 0; i < g.spatial; ++i) {
    const int j = 3 - g.spatial + i;
    const size_t k = static_cast<size_t>(i);
    g.in[j] = x.dims[i + 2], g.x[j] = x.strides[i + 2];
    g.out[j] = y.dims[i + 2], g.y[j] = y.strides[i + 2];
    g.kernel[j] = a.kernel[k], g.stride[j] = a.strides[k], g.dilation[j] = a.dilations[k], g.pad[j] = a.pads[k];
  }
  return g;
}

}  // namespace tw
