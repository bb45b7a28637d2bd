// Kernels `pad` {mode}(x, low, high, value?) and `padDynamic` {mode}(x, pads, value?, axes?).
#include "kernels/pad.h"

#include <algorithm>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/copy.h"

namespace tw {
namespace {

constexpr int64_t kGrain = 16384;  // elements

// Position `i` of an axis of `extent`, brought inside.
int64_t source_index(int64_t i, int64_t extent, PadMode mode) {
  if (i >= 0 && i < extent) return i;
  if (mode == PadMode::kEdge || extent == 1) return i < 0 ? 0 : extent - 1;
  if (mode == PadMode::kWrap) return ((i % extent) + extent) % extent;
  const int64_t period = 2 * (extent - 1), k = ((i % period) + period) % period;
  return k < extent ? k : period - k;
}

// The part of x that stays goes to its place; the border is filled slab by slab: on axis a what lies beside that part,
// within the part on the axes before, whole on those after.
void pad_constant(ThreadPool& pool, const Tensor& x, const std::vector<int64_t>& low, const Tensor* value, Tensor y) {
  Tensor from = x, inside = y;
  const uint64_t zero[2] = {};
  Tensor fill = y;
  fill.data = value && value->data ? value->data : const_cast<uint64_t*>(zero);
  std::fill(std::begin(fill.strides), std::end(fill.strides), 0);
  const auto fill_part = [&](const Tensor& part) {
    Tensor view = fill;
    std::copy_n(part.dims, part.rank, view.dims);
    copy_tensor(pool, view, part);
  };
  for (int a = 0; a < x.rank; ++a) {
    const int64_t before = low[static_cast<size_t>(a)], extent = y.dims[a];
    const int64_t begin = std::clamp<int64_t>(before, 0, extent),
                  end = std::clamp<int64_t>(before + x.dims[a], begin, extent);
    fill_part(narrowed(inside, a, 0, begin));
    fill_part(narrowed(inside, a, end, extent - end));
    inside = narrowed(inside, a, begin, end - begin);
    from = narrowed(from, a, begin - before, end - begin);
  }
  if (inside.count() > 0) copy_tensor(pool, from, inside);
}

void pad_from_inside(ThreadPool& pool, const Tensor& x, const std::vector<int64_t>& low, PadMode mode,
                     const Tensor& y) {
  const int last = y.rank - 1;
  std::vector<std::vector<int64_t>> offsets(static_cast<size_t>(y.rank));  // of every position of every axis, in x
  for (int a = 0; a <= last; ++a)
    for (int64_t i = 0; i < y.dims[a]; ++i)
      offsets[static_cast<size_t>(a)].push_back(source_index(i - low[static_cast<size_t>(a)], x.dims[a], mode) *
                                                x.strides[a]);
  const int64_t n = y.dims[last], rows = y.count() / n;
  const int64_t* columns = offsets.back().data();
  visit_size("pad", y.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    pool.parallel_ranges(rows, std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        int64_t from = 0, to = 0, rest = row;
        for (int a = last - 1; a >= 0; --a) {
          const int64_t i = rest % y.dims[a];
          rest /= y.dims[a];
          from += offsets[static_cast<size_t>(a)][static_cast<size_t>(i)];
          to += i * y.strides[a];
        }
        const T* source = x.as<const T>() + from;
        T* target = y.as<T>() + to;
        for (int64_t i = 0; i < n; ++i) target[i * y.strides[last]] = source[columns[i]];
      }
    });
  });
}

class Pad final : public Kernel {
 public:
  explicit Pad(const StepInfo& step) : mode_(pad_mode(step.attributes)) {}

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    pad_tensor(context, inputs[0], read_integers(inputs[1], "pad's low"), read_integers(inputs[2], "pad's high"), mode_,
               present(inputs, 3) ? &inputs[3] : nullptr, outputs);
  }

 private:
  PadMode mode_;
};

class PadDynamic final : public Kernel {
 public:
  explicit PadDynamic(const StepInfo& step) : mode_(pad_mode(step.attributes)) {}

  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const std::vector<int64_t> pads = read_integers(inputs[1], "padDynamic's pads");
    const size_t rank = static_cast<size_t>(x.rank);
    std::vector<int64_t> axes;
    if (present(inputs, 3))
      axes = read_integers(inputs[3], "padDynamic's axes");
    else
      for (int64_t a = 0; a < x.rank; ++a) axes.push_back(a);
    if (pads.size() != 2 * axes.size())
      throw Error(Code::kInvalidArgument, "padDynamic has " + std::to_string(pads.size()) + " pads for " +
                                              std::to_string(axes.size()) + " axes, expected two each");
    std::vector<int64_t> low(rank), high(rank);
    for (size_t k = 0; k < axes.size(); ++k) {
      const size_t a = static_cast<size_t>(normalize_axis(axes[k], x.rank, "padDynamic's axes"));
      low[a] = pads[k], high[a] = pads[k + axes.size()];
    }
    pad_tensor(context, x, low, high, mode_, present(inputs, 2) ? &inputs[2] : nullptr, outputs);
  }

 private:
  PadMode mode_;
};

}  // namespace

PadMode pad_mode(const Attributes& attributes) {
  const std::string mode = attributes.string("mode", "constant");
  if (mode == "constant") return PadMode::kConstant;
  if (mode == "reflect") return PadMode::kReflect;
  if (mode == "edge") return PadMode::kEdge;
  if (mode == "wrap") return PadMode::kWrap;
  throw Error(Code::kInvalidPlan, "pad's mode is '" + mode + "', expected constant, reflect, edge or wrap");
}

void pad_tensor(KernelContext& context, const Tensor& x, const std::vector<int64_t>& low,
                const std::vector<int64_t>& high, PadMode mode, const Tensor* value, std::span<Tensor> outputs) {
  constexpr int64_t kMost = int64_t{1} << 40;  // far from overflowing
  if (low.size() != static_cast<size_t>(x.rank) || high.size() != low.size())
    throw Error(Code::kInvalidArgument, "pad: " + std::to_string(low.size()) + " low and " +
                                            std::to_string(high.size()) + " high amounts for rank " +
                                            std::to_string(x.rank));
  std::vector<int64_t> dims;
  for (int a = 0; a < x.rank; ++a) {
    const int64_t l = low[static_cast<size_t>(a)], h = high[static_cast<size_t>(a)];
    if (l < -kMost || l > kMost || h < -kMost || h > kMost || x.dims[a] + l + h < 0)
      throw Error(Code::kInvalidArgument, "pad: axis " + std::to_string(a) + " of " + std::to_string(x.dims[a]) +
                                              " elements cannot be padded by " + std::to_string(l) + " and " +
                                              std::to_string(h));
    dims.push_back(x.dims[a] + l + h);
    if (x.dims[a] == 0 && dims.back() > 0 && mode != PadMode::kConstant)
      throw Error(Code::kInvalidArgument, "pad: axis " + std::to_string(a) + " is empty, there is nothing to repeat");
  }
  resolve_output(context, outputs, 0, dims);
  const Tensor& y = outputs[0];
  if (y.count() == 0) return;
  if (mode == PadMode::kConstant || y.rank == 0)
    pad_constant(context.pool, x, low, value, y);
  else
    pad_from_inside(context.pool, x, low, mode, y);
}

void register_pad() {
  register_kernel("pad",
                  adapted<make<Pad>, kStridedMovement,
                          Signature{.min_inputs = 3, .max_inputs = 4, .same_inputs = 0b1000, .sizes_outputs = true}>);
  register_kernel("padDynamic",
                  adapted<make<PadDynamic>, kStridedMovement,
                          Signature{.min_inputs = 2, .max_inputs = 4, .same_inputs = 0b100, .sizes_outputs = true}>);
}

}  // namespace tw
