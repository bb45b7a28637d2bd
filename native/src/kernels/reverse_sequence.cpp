// reverseSequence(x, sequenceLengths){batchAxis, timeAxis}: the first `length` steps of each batch in reverse order.
#include <cstring>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

class ReverseSequence final : public Kernel {
 public:
  explicit ReverseSequence(const StepInfo& step) : batch_axis_(step.attributes.integer("batchAxis", 1)) {
    const int64_t time = step.attributes.integer("timeAxis", 0);
    if (batch_axis_ + time != 1 || batch_axis_ * time != 0)
      throw Error(Code::kInvalidPlan, "reverseSequence: batchAxis and timeAxis must be 0 and 1 or 1 and 0");
    visit_size("reverseSequence", step.inputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("x", inputs[0], 2, kMaxRank);
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const std::vector<int64_t> lengths = read_integers(inputs[1], "sequence lengths");
    const int64_t batches = x.dims[batch_axis_], steps = x.dims[1 - batch_axis_];
    if (static_cast<int64_t>(lengths.size()) != batches)
      throw Error(Code::kShapeMismatch, "reverseSequence: " + std::to_string(lengths.size()) + " lengths, expected " + std::to_string(batches));
    for (int64_t length : lengths)
      if (length < 0 || length > steps)
        throw Error(Code::kInvalidArgument, "reverseSequence: a length is " + std::to_string(length) + ", expected 0 to " + std::to_string(steps));
    const auto bytes = static_cast<size_t>(product(x.dims, 2, x.rank) * (info(x.dtype).bits / 8));
    const int64_t batch_step = batch_axis_ == 0 ? steps : 1, time_step = batch_axis_ == 0 ? 1 : batches;
    context.pool.parallel_ranges(batches, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t b = begin; b < end; ++b)
        for (int64_t t = 0; t < steps; ++t) {
          const int64_t length = lengths[static_cast<size_t>(b)], from = t < length ? length - 1 - t : t;
          std::memcpy(outputs[0].as<std::byte>() + static_cast<size_t>(b * batch_step + t * time_step) * bytes,
                      x.as<std::byte>() + static_cast<size_t>(b * batch_step + from * time_step) * bytes, bytes);
        }
    });
  }

 private:
  int64_t batch_axis_;
};

}  // namespace

void register_reverse_sequence() { register_kernel("reverseSequence", adapted<make<ReverseSequence>, kDenseMovement, Signature{.min_inputs = 2, .max_inputs = 2, .same_shape = true}>); }

}  // namespace tw
