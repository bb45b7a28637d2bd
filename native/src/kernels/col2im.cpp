// col2im{imageShape, blockShape, strides, dilations, pads}: sums overlapping blocks into an image.
// x [N, C * block elements, L] -> [N, C, image…].
#include <algorithm>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class Col2im final : public Kernel {
 public:
  explicit Col2im(const StepInfo& step)
      : block_(step.attributes.integers("blockShape")),
        strides_(or_filled(step.attributes.integers("strides"), 1, 1)),
        dilations_(or_filled(step.attributes.integers("dilations"), 1, 1)),
        pads_(or_filled(step.attributes.integers("pads"), 2, 0)) {
    visit_number("col2im", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    expect_rank("the output", outputs[0], static_cast<int>(block_.size()) + 2, static_cast<int>(block_.size()) + 2);
    expect_rank("x", inputs[0], 3, 3);
    expect(inputs[0].dims[0] == outputs[0].dims[0], "x and the output have different batches");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &y = outputs[0];
    const int rank = static_cast<int>(block_.size());
    const int64_t taps = product(block_.data(), 0, rank), channels = y.dims[1], plane = product(y.dims, 2, y.rank);
    Walk<1> blocks;
    for (int i = 0; i < rank; ++i) {
      const auto k = static_cast<size_t>(i);
      const int64_t span = dilations_[k] * (block_[k] - 1) + 1;
      blocks.add((y.dims[i + 2] + pads_[k] + pads_[k + block_.size()] - span) / strides_[k] + 1, {0});
    }
    const int64_t count = blocks.count();
    if (x.rank != 3 || x.dims[1] != channels * taps || x.dims[2] != count)
      throw Error(Code::kShapeMismatch, "col2im: x has shape " + dims_text({x.dims, static_cast<size_t>(x.rank)}) + ", expected " +
                                            dims_text(std::vector<int64_t>{y.dims[0], channels * taps, count}));
    visit_number("col2im", x.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      context.pool.parallel_ranges(y.dims[0] * channels, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t p = begin; p < end; ++p) {
          T* out = y.as<T>() + p * plane;
          std::fill_n(out, plane, T(0));
          Walk<1> tap;
          for (int64_t size : block_) tap.add(size, {0});
          tap.seek(0);
          for (int64_t t = 0; t < taps; ++t, tap.next()) {
            const T* in = x.as<T>() + (p * taps + t) * count;
            Walk<1> at = blocks;
            at.seek(0);
            for (int64_t b = 0; b < count; ++b, at.next()) {
              int64_t offset = 0;
              bool inside = true;
              for (int i = 0; i < rank; ++i) {
                const auto k = static_cast<size_t>(i);
                const int64_t position = at.index[i] * strides_[k] + tap.index[i] * dilations_[k] - pads_[k];
                inside &= position >= 0 && position < y.dims[i + 2];
                offset = offset * y.dims[i + 2] + position;
              }
              if (inside) out[offset] = static_cast<T>(out[offset] + in[b]);
            }
          }
        }
      });
    });
  }

 private:
  std::vector<int64_t> or_filled(std::vector<int64_t> list, size_t times, int64_t value) const {
    if (list.empty()) list.assign(times * block_.size(), value);
    if (list.size() != times * block_.size()) throw Error(Code::kInvalidPlan, "col2im: blockShape, strides, dilations and pads must fit");
    return list;
  }

  std::vector<int64_t> block_, strides_, dilations_, pads_;
};

}  // namespace

void register_col2im() { register_kernel("col2im", adapted<make<Col2im>, kDenseNumbers, Signature{}>); }

}  // namespace tw
