#include "kernels/contraction/conv_phases.h"

#include <numeric>

#include "kernels/contraction/conv.h"

namespace tw {
namespace {

struct AxisPhase {
  int64_t first, outputs, kernel, dilation, pad, tap, step;
};

// Output o takes tap t from input i where o = i * stride + t * dilation - pad.
std::vector<AxisPhase> axis_phases(int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  std::vector<AxisPhase> phases;
  for (int64_t first = 0; first < stride; ++first) {
    AxisPhase p{first, first < out ? (out - first + stride - 1) / stride : 0, 0, 1, 0, 0, -1};
    const int64_t apart = stride / std::gcd(stride, dilation);
    for (int64_t t = 0; t < std::min(kernel, apart); ++t) {
      const int64_t reach = first + pad - t * dilation;
      if (reach % stride != 0) continue;
      // Taps t, t + apart, …: later ones read earlier inputs, so the reversed order has a positive dilation.
      p.kernel = (kernel - t + apart - 1) / apart;
      p.dilation = apart * dilation / stride;
      p.tap = t + (p.kernel - 1) * apart;
      p.step = -apart;
      p.pad = (p.kernel - 1) * p.dilation - reach / stride;
      break;
    }
    phases.push_back(p);
  }
  return phases;
}

}  // namespace

std::vector<ConvPhase> conv_phases(const ConvGeometry& whole) {
  std::vector<AxisPhase> axes[3];
  for (int i = 0; i < 3; ++i)
    axes[i] = axis_phases(whole.out[i], whole.kernel[i], whole.stride[i], whole.dilation[i], whole.pad[i]);
  std::vector<ConvPhase> phases;
  for (const AxisPhase& d : axes[0]) {
    for (const AxisPhase& h : axes[1]) {
      for (const AxisPhase& w : axes[2]) {
        ConvPhase phase;
        ConvGeometry& g = phase.geometry = whole;
        const AxisPhase* parts[3] = {&d, &h, &w};
        for (int i = 0; i < 3; ++i) {
          g.out[i] = parts[i]->outputs, g.kernel[i] = parts[i]->kernel, g.dilation[i] = parts[i]->dilation,
          g.pad[i] = parts[i]->pad;
          g.y[i] = whole.y[i] * whole.stride[i];
          g.stride[i] = 1;
          phase.first[i] = parts[i]->first, phase.tap[i] = parts[i]->tap, phase.step[i] = parts[i]->step;
        }
        phases.push_back(phase);
      }
    }
  }
  return phases;
}

Sink phase_sink(const ConvGeometry& whole, const ConvPhase& phase, const Epilogue& epilogue,
                std::span<const Tensor> inputs, const Tensor& y) {
  const auto shifted = [&](Tensor t) {
    int64_t offset = 0;
    for (int axis = 2; axis < y.rank; ++axis) {
      const int i = axis - 2 + 3 - whole.spatial, own = axis - (y.rank - t.rank);
      if (own < 0 || t.dims[own] != y.dims[axis]) continue;  // broadcast along this axis
      offset += phase.first[i] * t.strides[own];
      t.strides[own] *= whole.stride[i];
      t.dims[own] = phase.geometry.out[i];
    }
    t.data = static_cast<std::byte*>(t.data) + offset * (info(t.dtype).bits / 8);
    return t;
  };
  std::vector<Tensor> parts(inputs.begin(), inputs.end());
  for (size_t i = 3; i < parts.size(); ++i) parts[i] = shifted(parts[i]);
  return conv_sink(phase.geometry, epilogue, parts, shifted(y));
}

}  // namespace tw
