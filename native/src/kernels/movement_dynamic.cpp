// Movements whose sizes are tensors: reshapeDynamic {allowzero}, expandDynamic, sliceDynamic, tileDynamic,
// squeezeDynamic, unsqueezeDynamic. (padDynamic is in pad.cpp.)
#include <algorithm>
#include <cmath>

#include "kernels/common/adapt.h"
#include "kernels/common/shape.h"
#include "kernels/copy.h"

namespace tw {
namespace {

using Dims = std::vector<int64_t>;

[[noreturn]] void fail(const std::string& what) { throw Error(Code::kInvalidArgument, what); }

Dims dims_of(const Tensor& t) { return {t.dims, t.dims + t.rank}; }

// The product, or -1 when it is beyond all reason.
int64_t elements(const Dims& dims) {
  int64_t n = 1;
  for (const int64_t d : dims) {
    if (d == 0) return 0;
    if (n > (int64_t{1} << 46) / d) return -1;
    n *= d;
  }
  return n;
}

// Makes output 0 of these dims and writes x's elements to it in row-major order.
void reinterpret(KernelContext& context, const Tensor& x, const Dims& dims, std::span<Tensor> outputs) {
  if (dims.size() > kMaxRank)
    fail("a tensor of rank " + std::to_string(dims.size()) + "; at most " + std::to_string(kMaxRank) + " is possible");
  resolve_output(context, outputs, 0, dims);
  if (!outputs[0].contiguous()) throw Error(Code::kUnsupported, "a dynamic reshape writes row-major tensors only");
  Tensor view = x;
  view.data = outputs[0].data;
  view.set_row_major();
  copy_tensor(context.pool, x, view);
}

// 0 keeps an axis, -1 takes the rest.
Dims reshaped(const Tensor& x, Dims target, bool allow_zero) {
  const std::string text = dims_text(target);
  const Dims from = dims_of(x);
  int64_t rest = -1;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0 && !allow_zero) {
      if (i >= from.size())
        fail("reshape target " + text + " keeps axis " + std::to_string(i) + ", which the input does not have");
      target[i] = from[i];
    } else if (target[i] == -1) {
      if (rest >= 0) fail("reshape target " + text + " has more than one -1");
      rest = static_cast<int64_t>(i);
    } else if (target[i] < 0) {
      fail("reshape target " + text + " has a negative extent");
    }
  }
  const int64_t total = x.count();
  if (rest >= 0) {
    target[static_cast<size_t>(rest)] = 1;
    const int64_t others = elements(target);
    if (others == 0 ? total != 0 : others < 0 || total % others != 0)
      fail(std::to_string(total) + " elements do not divide into " + text);
    target[static_cast<size_t>(rest)] = others == 0 ? 0 : total / others;
  }
  if (elements(target) != total) fail(dims_text(from) + " cannot become " + text);
  return target;
}

// The given axes (all leading ones where absent): in range and distinct.
std::vector<int> read_axes(std::span<const Tensor> inputs, size_t index, size_t count, int rank, const char* what) {
  Dims given;
  if (present(inputs, index))
    given = read_integers(inputs[index], what);
  else
    for (size_t i = 0; i < count; ++i) given.push_back(static_cast<int64_t>(i));
  std::vector<int> axes;
  for (const int64_t a : given) {
    axes.push_back(normalize_axis(a, rank, what));
    if (std::count(axes.begin(), axes.end(), axes.back()) > 1)
      fail(std::string(what) + " repeat " + std::to_string(axes.back()));
  }
  return axes;
}

class ReshapeDynamic final : public Kernel {
 public:
  explicit ReshapeDynamic(const StepInfo& step) : allow_zero_(step.attributes.flag("allowzero")) {}
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    reinterpret(context, inputs[0],
                reshaped(inputs[0], read_integers(inputs[1], "reshapeDynamic's shape"), allow_zero_), outputs);
  }

 private:
  bool allow_zero_;
};

class SqueezeDynamic final : public Kernel {
 public:
  explicit SqueezeDynamic(const StepInfo&) {}
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    std::vector<int> axes;
    if (present(inputs, 1))
      axes = read_axes(inputs, 1, 0, x.rank, "squeezeDynamic's axes");
    else
      for (int a = 0; a < x.rank; ++a)
        if (x.dims[a] == 1) axes.push_back(a);
    Dims dims;
    for (int a = 0; a < x.rank; ++a) {
      const bool squeezed = std::find(axes.begin(), axes.end(), a) != axes.end();
      if (squeezed && x.dims[a] != 1)
        fail("axis " + std::to_string(a) + " of " + dims_text(dims_of(x)) + " cannot be squeezed");
      if (!squeezed) dims.push_back(x.dims[a]);
    }
    reinterpret(context, x, dims, outputs);
  }
};

class UnsqueezeDynamic final : public Kernel {
 public:
  explicit UnsqueezeDynamic(const StepInfo&) {}
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const int rank = x.rank + static_cast<int>(std::min<int64_t>(inputs[1].count(), 1000));
    const std::vector<int> axes = read_axes(inputs, 1, 0, rank, "unsqueezeDynamic's axes");
    Dims dims;
    for (int a = 0, next = 0; a < rank; ++a)
      dims.push_back(std::find(axes.begin(), axes.end(), a) != axes.end() ? 1 : x.dims[next++]);
    reinterpret(context, x, dims, outputs);
  }
};

class ExpandDynamic final : public Kernel {
 public:
  explicit ExpandDynamic(const StepInfo&) {}
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const Dims shape = read_integers(inputs[1], "expandDynamic's shape");
    const size_t rank = std::max(shape.size(), static_cast<size_t>(x.rank));
    if (rank > kMaxRank) fail("expandDynamic to rank " + std::to_string(rank));
    Dims dims(rank);
    Tensor view = x;
    view.rank = static_cast<int>(rank);
    for (size_t i = 0; i < rank; ++i) {
      const int64_t own = i + static_cast<size_t>(x.rank) < rank ? 1 : x.dims[i + static_cast<size_t>(x.rank) - rank];
      const int64_t wanted = i + shape.size() < rank ? 1 : shape[i + shape.size() - rank];
      if (wanted < 0 || (own != wanted && own != 1 && wanted != 1))
        fail(dims_text(dims_of(x)) + " does not broadcast to " + dims_text(shape));
      dims[i] = own == 1 ? wanted : own;
      view.dims[i] = dims[i];
      view.strides[i] = broadcast_stride(x, static_cast<int>(rank), static_cast<int>(i));
    }
    if (elements(dims) < 0) throw Error(Code::kLimitExceeded, "expandDynamic to " + dims_text(dims));
    resolve_output(context, outputs, 0, dims);
    copy_tensor(context.pool, view, outputs[0]);
  }
};

class SliceDynamic final : public Kernel {
 public:
  explicit SliceDynamic(const StepInfo&) {}
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const Dims starts = read_integers(inputs[1], "sliceDynamic's starts"),
               ends = read_integers(inputs[2], "sliceDynamic's ends");
    const std::vector<int> axes = read_axes(inputs, 3, starts.size(), x.rank, "sliceDynamic's axes");
    const Dims steps = present(inputs, 4) ? read_integers(inputs[4], "sliceDynamic's steps") : Dims(starts.size(), 1);
    if (ends.size() != starts.size() || steps.size() != starts.size() || axes.size() != starts.size())
      fail("sliceDynamic: starts, ends, axes and steps differ in length");
    Tensor view = x;
    for (size_t k = 0; k < axes.size(); ++k) {
      const int a = axes[k];
      const int64_t extent = x.dims[a], step = steps[k];
      if (step == 0) fail("sliceDynamic: a step is 0");
      const int64_t least = step > 0 ? 0 : -1, most = step > 0 ? extent : extent - 1;
      const auto bound = [&](int64_t i) { return std::clamp(i < 0 ? i + extent : i, least, most); };
      const int64_t begin = bound(starts[k]), end = bound(ends[k]);
      const int64_t span = step > 0 ? end - begin : begin - end;
      const uint64_t size = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
      const int64_t count = span > 0 ? static_cast<int64_t>((static_cast<uint64_t>(span) - 1) / size) + 1 : 0;
      if (count > 0) view = shifted(view, begin * view.strides[a]);
      view.dims[a] = count;
      view.strides[a] = count > 1 ? view.strides[a] * step : 0;
    }
    resolve_output(context, outputs, 0, {view.dims, static_cast<size_t>(view.rank)});
    copy_tensor(context.pool, view, outputs[0]);
  }
};

class TileDynamic final : public Kernel {
 public:
  explicit TileDynamic(const StepInfo&) {}
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    const Tensor& x = inputs[0];
    const Dims repeats = read_integers(inputs[1], "tileDynamic's repeats");
    if (repeats.size() != static_cast<size_t>(x.rank))
      fail("tileDynamic: " + std::to_string(repeats.size()) + " repeats for rank " + std::to_string(x.rank));
    Dims dims = dims_of(x);
    for (size_t a = 0; a < dims.size(); ++a) {
      if (repeats[a] < 0) fail("tileDynamic: a negative repeat");
      if (dims[a] > 0 && repeats[a] > (int64_t{1} << 46) / dims[a])
        throw Error(Code::kLimitExceeded, "tileDynamic by " + dims_text(repeats));
      dims[a] *= repeats[a];
    }
    if (elements(dims) < 0) throw Error(Code::kLimitExceeded, "tileDynamic to " + dims_text(dims));
    resolve_output(context, outputs, 0, dims);
    const Tensor& y = outputs[0];
    if (y.count() == 0) return;
    // One copy of x in the corner, then from the last axis to the first twice as much each time.
    Tensor corner = y;
    std::copy_n(x.dims, x.rank, corner.dims);
    copy_tensor(context.pool, x, corner);
    for (int a = x.rank - 1; a >= 0; --a) {
      for (int64_t done = x.dims[a]; done < y.dims[a];) {
        const int64_t n = std::min(done, y.dims[a] - done);
        Tensor to = shifted(corner, done * y.strides[a]), from = corner;
        to.dims[a] = from.dims[a] = n;
        copy_tensor(context.pool, from, to);
        done += n;
      }
      corner.dims[a] = y.dims[a];
    }
  }
};

}  // namespace

void register_movement_dynamic() {
  register_kernel("reshapeDynamic", adapted<make<ReshapeDynamic>, kStridedMovement,
                                            Signature{.min_inputs = 2, .max_inputs = 2, .sizes_outputs = true}>);
  register_kernel("squeezeDynamic", adapted<make<SqueezeDynamic>, kStridedMovement,
                                            Signature{.min_inputs = 1, .max_inputs = 2, .sizes_outputs = true}>);
  register_kernel("unsqueezeDynamic", adapted<make<UnsqueezeDynamic>, kStridedMovement,
                                              Signature{.min_inputs = 2, .max_inputs = 2, .sizes_outputs = true}>);
  register_kernel("expandDynamic", adapted<make<ExpandDynamic>, kStridedMovement,
                                           Signature{.min_inputs = 2, .max_inputs = 2, .sizes_outputs = true}>);
  register_kernel("sliceDynamic", adapted<make<SliceDynamic>, kStridedMovement,
                                          Signature{.min_inputs = 3, .max_inputs = 5, .sizes_outputs = true}>);
  register_kernel(
      "tileDynamic",
      adapted<make<TileDynamic>, kStridedMovement, Signature{.min_inputs = 2, .max_inputs = 2, .sizes_outputs = true}>);
}

}  // namespace tw
