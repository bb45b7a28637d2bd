// rotaryEmbedding(x, cos, sin){interleaved}: rotates pairs of x [B, H, S, D] by angles whose cos and sin are
// [B or 1, S, R / 2]; the first R of D elements turn.
#include <algorithm>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class RotaryEmbedding final : public Kernel {
 public:
  explicit RotaryEmbedding(const StepInfo& step) : interleaved_(step.attributes.flag("interleaved")) {
    visit_float("rotaryEmbedding", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    const Tensor &x = inputs[0], &cos = inputs[1];
    expect_rank("x", x, 4, 4);
    expect_rank("cos", cos, 3, 3);
    expect_same_dims("sin", inputs[2], cos);
    expect((cos.dims[0] == 1 || cos.dims[0] == x.dims[0]) && cos.dims[1] == x.dims[2] && 2 * cos.dims[2] <= x.dims[3],
           "cos and sin must be [x's batch or 1, positions, at most half the head size]");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &cos = inputs[1], &sin = inputs[2];
    visit_float("rotaryEmbedding", x.dtype, [&](auto tag) { run_as<typename decltype(tag)::type>(context, x, cos, sin, outputs[0]); });
  }

 private:
  template <typename T>
  void run_as(KernelContext& context, const Tensor& x, const Tensor& cos, const Tensor& sin, const Tensor& y) const {
    const int64_t size = x.dims[3], half = cos.dims[2], xs = x.strides[3], ys = y.strides[3];
    Walk<4> walk;  // x, y, cos, sin
    const int64_t cb = broadcast_stride(cos, 3, 0), sb = broadcast_stride(sin, 3, 0);
    walk.add(x.dims[0], {x.strides[0], y.strides[0], cb, sb});
    walk.add(x.dims[2], {x.strides[2], y.strides[2], cos.strides[1], sin.strides[1]});
    walk.add(x.dims[1], {x.strides[1], y.strides[1], 0, 0});
    const int64_t first = interleaved_ ? 2 : 1, apart = interleaved_ ? 1 : half;
    context.pool.parallel_ranges(walk.count(), std::max<int64_t>(1, 8192 / std::max<int64_t>(1, size)), [&](int64_t begin, int64_t end, int) {
      Walk<4> at = walk;
      at.seek(begin);
      for (int64_t row = begin; row < end; ++row, at.next()) {
        const T *p = x.as<T>() + at.offset[0], *c = cos.as<T>() + at.offset[2], *s = sin.as<T>() + at.offset[3];
        T* q = y.as<T>() + at.offset[1];
        if (xs == 1 && ys == 1 && !interleaved_ && cos.strides[2] == 1 && sin.strides[2] == 1) {
          for (int64_t i = 0; i < half; ++i) {
            const T u = p[i], v = p[half + i];
            q[i] = c[i] * u - s[i] * v;
            q[half + i] = s[i] * u + c[i] * v;
          }
        } else {
          for (int64_t i = 0; i < half; ++i) {
            const T u = p[i * first * xs], v = p[(i * first + apart) * xs], ci = c[i * cos.strides[2]], si = s[i * sin.strides[2]];
            q[i * first * ys] = ci * u - si * v;
            q[(i * first + apart) * ys] = si * u + ci * v;
          }
        }
        for (int64_t i = 2 * half; i < size; ++i) q[i * ys] = p[i * xs];
      }
    });
  }

  bool interleaved_;
};

}  // namespace

void register_rotary_embedding() { register_kernel("rotaryEmbedding", adapted<make<RotaryEmbedding>, kStridedNumbers, Signature{.min_inputs = 3, .max_inputs = 3, .same_inputs = 0b110, .same_shape = true}>); }

}  // namespace tw
