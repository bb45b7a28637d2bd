// softmax{axis} and logSoftmax{axis} over any axis of any layout.
//
// An optional program "tape" ("result" is its register) makes the elements first: operand 0 is x, the further operands
// are the inputs after it, broadcast to x: a scale, an additive mask.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/adapt.h"
#include "kernels/common/rows.h"
#include "kernels/softmax_loops.h"
#include "tape/tape.h"

namespace tw {
namespace {

constexpr int64_t kTaskElements = 8192;
constexpr int64_t kColumns = 64;

template <typename T>
void plain_row(const T* x, T* y, int64_t n, bool log) {
  T top = -std::numeric_limits<T>::infinity(), sum = 0;
  for (int64_t i = 0; i < n; ++i) top = std::max(top, x[i]);
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - top);
  const T offset = top + std::log(sum);
  for (int64_t i = 0; i < n; ++i) y[i] = log ? x[i] - offset : std::exp(x[i] - top) / sum;
}

class Softmax final : public Kernel {
 public:
  Softmax(const StepInfo& step, bool log) : log_(log), axis_(step.attributes.integer("axis", -1)) {
    const auto text = step.attributes.strings("tape");
    if (!text.empty())
      tape_ = Tape::parse(text, {step.attributes.integer("result", static_cast<int64_t>(text.size()) - 1)});
    visit_float("softmax", step.outputs[0].dtype, [](auto) {});
  }

  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    (void)outputs;
    expect_rank("x", inputs[0], 1, kMaxRank);
    for (size_t i = 1; i < inputs.size(); ++i) expect_broadcast("a side tensor", inputs[i], extents(inputs[0]));
    if (tape_ && static_cast<size_t>(tape_->operands()) > inputs.size()) throw Error(Code::kInvalidPlan, "the program reads more operands than there are inputs");
  }

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor &x = inputs[0], &y = outputs[0];
    if (y.count() == 0) return;
    const int axis = normalize_axis(axis_, x.rank, "softmax axis");
    if (y.dtype == DType::kFloat64) return rows<double>(context, inputs, y, axis);
    // Neighbouring columns together, where the elements of one row lie apart.
    if (x.strides[axis] != 1 || y.strides[axis] != 1)
      for (int i = x.rank; i-- > 0;)
        if (i != axis && x.dims[i] >= 8 && x.strides[i] == 1 && y.strides[i] == 1) return columns(context, inputs, y, axis, i);
    rows<float>(context, inputs, y, axis);
  }

 private:
  // Inputs broadcast to x's shape, as programs address them.
  static std::vector<Tensor> views(std::span<const Tensor> inputs) {
    std::vector<Tensor> out;
    for (const Tensor& t : inputs) out.push_back(broadcast_view(t, inputs[0].dims, inputs[0].rank));
    return out;
  }

  static const std::byte* element(const Tensor& t, int64_t offset) {
    return t.as<std::byte>() + offset * (info(t.dtype).bits / 8);
  }

  template <typename T>
  void rows(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, int axis) const {
    const Rows<T> in(inputs[0], axis, axis + 1), out(y, axis, axis + 1);
    const int64_t n = out.length();
    const auto sides = views(inputs);
    std::vector<Rows<const std::byte>> positions;
    for (const Tensor& t : sides) positions.emplace_back(t, axis, axis + 1);
    const auto softmax = [&](const T* from, T* to) {
      if constexpr (std::is_same_v<T, float>) TW_SELECT_ISA(softmax_loops)().row(from, to, n, log_);
      else plain_row(from, to, n, log_);
    };
    context.pool.parallel_ranges(out.count(), std::max<int64_t>(1, kTaskElements / n), [&](int64_t begin, int64_t end, int) {
      std::vector<T> scratch_in(in.dense() ? 0 : n), scratch_out(out.dense() ? 0 : n);
      std::vector<TapeOperand> operands(sides.size());
      for (int64_t row = begin; row < end; ++row) {
        T* to = out.place(row, scratch_out.data());
        if (tape_) {
          for (size_t k = 0; k < sides.size(); ++k)
            operands[k] = {element(sides[k], positions[k].at(row) - sides[k].as<const std::byte>()), sides[k].dtype, sides[k].strides[axis]};
          const TapeResult result{to, y.dtype, 1};
          tape_->run(n, operands, {&result, 1});
          softmax(to, to);
        } else {
          softmax(in.read(row, scratch_in.data()), to);
        }
        out.written(row, scratch_out.data());
      }
    });
  }

  void columns(KernelContext& context, std::span<const Tensor> inputs, const Tensor& y, int axis, int column) const {
    const auto sides = views(inputs);
    Walk<1> walk;  // over the axes that are neither
    int order[kMaxRank];
    for (int i = 0; i < y.rank; ++i)
      if (i != axis && i != column) {
        order[walk.rank] = i;
        walk.add(y.dims[i], {y.strides[i]});
      }
    const int64_t n = y.dims[axis], width = y.dims[column], blocks = (width + kColumns - 1) / kColumns;
    const auto& loops = TW_SELECT_ISA(softmax_loops)();
    const int64_t grain = std::max<int64_t>(1, kTaskElements / (n * std::min(width, kColumns)));
    context.pool.parallel_ranges(walk.count() * blocks, grain, [&](int64_t begin, int64_t end, int) {
      Walk<1> at = walk;
      std::vector<TapeOperand> operands(sides.size());
      for (int64_t task = begin; task < end; ++task) {
        at.seek(task / blocks);
        const int64_t first = task % blocks * kColumns, count = std::min(kColumns, width - first);
        const auto offset = [&](const Tensor& t) {
          int64_t o = first * t.strides[column];
          for (int i = 0; i < at.rank; ++i) o += at.index[i] * t.strides[order[i]];
          return o;
        };
        float* to = y.as<float>() + offset(y);
        if (!tape_) {
          loops.columns(inputs[0].as<float>() + offset(inputs[0]), inputs[0].strides[axis], to, y.strides[axis], n, count, log_);
          continue;
        }
        for (int64_t r = 0; r < n; ++r) {
          for (size_t k = 0; k < sides.size(); ++k)
            operands[k] = {element(sides[k], offset(sides[k]) + r * sides[k].strides[axis]), sides[k].dtype, sides[k].strides[column]};
          const TapeResult result{to + r * y.strides[axis], y.dtype, 1};
          tape_->run(count, operands, {&result, 1});
        }
        loops.columns(to, y.strides[axis], to, y.strides[axis], n, count, log_);
      }
    });
  }

  bool log_;
  int64_t axis_;
  std::shared_ptr<const Tape> tape_;
};

template <bool log>
std::unique_ptr<Kernel> make_softmax(const StepInfo& step) {
  return std::make_unique<Softmax>(step, log);
}

}  // namespace

void register_softmax() {
  register_kernel("softmax", adapted<make_softmax<false>, kStridedNumbers, Signature{.min_inputs = 1, .max_inputs = 17, .same_shape = true}>);
  register_kernel("logSoftmax", adapted<make_softmax<true>, kStridedNumbers, Signature{.min_inputs = 1, .max_inputs = 17, .same_shape = true}>);
}

}  // namespace tw
