// Kernel `copy`: one strided view to another of the same dims.
#include "kernels/copy.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/convert.h"
#include "kernels/common/shape.h"
#include "kernels/loop_space.h"

namespace tw {
namespace {

constexpr int64_t kGrainBytes = 128 * 1024;  // a thread moves at least this much
constexpr int64_t kPieceBytes = 32 * 1024;   // long rows are cut into pieces

using Space = LoopSpace<2>;  // 0: to, 1: from

template <typename T>
struct View {
  T* to;
  const T* from;
};

// Calls fn(view, rows) for bands of the first `axes` axes' places, with the view at each place.
template <typename T, typename F>
void each_place(ThreadPool& pool, const Space& space, int axes, int64_t bytes_each, const Tensor& from,
                const Tensor& to, F fn) {
  pool.parallel_ranges(space.count(axes), std::max<int64_t>(1, kGrainBytes / std::max<int64_t>(1, bytes_each)),
                       [&](int64_t begin, int64_t end, int) {
                         Walk<2> walk;
                         for (int i = 0; i < axes; ++i)
                           walk.add(space.dims[i], {space.strides[0][i], space.strides[1][i]});
                         walk.seek(begin);
                         for (int64_t i = begin; i < end; ++i, walk.next())
                           fn(View<T>{to.as<T>() + walk.offset[0], from.as<const T>() + walk.offset[1]});
                       });
}

template <typename T>
void copy_dense_row(T* to, const T* from, int64_t n) {
  // A call to memcpy costs more than a few elements.
  if (n * sizeof(T) >= 64)
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  else
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

template <typename T>
void copy_row(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t n) {
  if (to_stride == 1 && from_stride == 1) return copy_dense_row(to, from, n);
  if (from_stride == 0) {
    const T value = *from;
    if (to_stride == 1)
      std::fill_n(to, n, value);
    else
      for (int64_t i = 0; i < n; ++i) to[i * to_stride] = value;
    return;
  }
  for (int64_t i = 0; i < n; ++i) to[i * to_stride] = from[i * from_stride];
}

// The axis along which `from` is dense where the innermost one is dense in `to` only; -1 where there is none.
int transposed_axis(const Space& space) {
  const int inner = space.rank - 1;
  if (space.strides[0][inner] != 1 || space.strides[1][inner] == 1 || space.strides[1][inner] == 0) return -1;
  for (int i = 0; i < inner; ++i)
    if (space.strides[1][i] == 1 && space.dims[i] > 1) return i;
  return -1;
}

template <typename T>
void copy_transposed(ThreadPool& pool, const Space& space, int axis, const Tensor& from, const Tensor& to) {
  const TransposeFn transpose = TW_SELECT_ISA(transpose_ops)().by_size[std::countr_zero(sizeof(T))];
  const int inner = space.rank - 1;
  const int64_t rows = space.dims[inner], columns = space.dims[axis];
  const int64_t src_stride = space.strides[1][inner], dst_stride = space.strides[0][axis];
  // The other axes, and bands of the transposed one.
  const int64_t band = std::clamp<int64_t>(kPieceBytes / static_cast<int64_t>(rows * sizeof(T)) / 16 * 16, 16, columns);
  const int64_t bands = (columns + band - 1) / band;
  Walk<2> shape;
  for (int i = 0; i < inner; ++i)
    if (i != axis) shape.add(space.dims[i], {space.strides[0][i], space.strides[1][i]});
  const int64_t bytes = rows * band * static_cast<int64_t>(sizeof(T));
  pool.parallel_ranges(shape.count() * bands, std::max<int64_t>(1, kGrainBytes / bytes),
                       [&](int64_t begin, int64_t end, int) {
                         Walk<2> walk = shape;
                         for (int64_t task = begin; task < end; ++task) {
                           if (task == begin || task % bands == 0) walk.seek(task / bands);
                           const int64_t first = task % bands * band;
                           transpose(from.as<const T>() + walk.offset[1] + first, src_stride,
                                     to.as<T>() + walk.offset[0] + first * dst_stride, dst_stride, rows,
                                     std::min(band, columns - first));
                         }
                       });
}

template <typename T>
void copy_elements(ThreadPool& pool, const Space& space, const Tensor& from, const Tensor& to) {
  const int inner = space.rank - 1;
  if (const int axis = transposed_axis(space); axis >= 0) return copy_transposed<T>(pool, space, axis, from, to);
  const int64_t n = space.dims[inner], to_stride = space.strides[0][inner], from_stride = space.strides[1][inner];
  const int64_t bytes = n * static_cast<int64_t>(sizeof(T));
  if (inner == 0) {
    T* y = to.as<T>();
    const T* x = from.as<const T>();
    pool.parallel_ranges(n, kGrainBytes / static_cast<int64_t>(sizeof(T)), [&](int64_t begin, int64_t end, int) {
      copy_row(y + begin * to_stride, to_stride, x + begin * from_stride, from_stride, end - begin);
    });
    return;
  }
  each_place<T>(pool, space, inner, bytes, from, to,
                [&](View<T> v) { copy_row(v.to, to_stride, v.from, from_stride, n); });
}

// One element at a time, by one thread: bytes are shared between neighbours.
template <int Bits>
void copy_packed(const Tensor& from, const Tensor& to) {
  const uint8_t* x = from.as<const uint8_t>();
  uint8_t* y = to.as<uint8_t>();
  Walk<2> walk;
  for (int i = 0; i < to.rank; ++i) walk.add(to.dims[i], {to.strides[i], from.strides[i]});
  walk.seek(0);
  const int64_t n = to.count();
  for (int64_t i = 0; i < n; ++i, walk.next()) set_packed<Bits>(y, walk.offset[0], get_packed<Bits>(x, walk.offset[1]));
}

class Copy final : public Kernel {
 public:
  void check(std::span<const Tensor> inputs, std::span<const Tensor> outputs) const override {
    if (inputs.size() != 1 || outputs.size() != 1 || inputs[0].rank < 0 || outputs[0].rank < 0)
      throw Error(Code::kInvalidPlan, "a copy is from one tensor to one other");
  }
  void run(KernelContext& context, std::span<const Tensor> inputs, std::span<Tensor> outputs) const override {
    copy_tensor(context.pool, inputs[0], outputs[0]);
  }
};

}  // namespace

Tensor shifted(const Tensor& t, int64_t offset) {
  Tensor view = t;
  view.data = t.as<std::byte>() + offset * info(t.dtype).bits / 8;
  return view;
}

Tensor narrowed(const Tensor& t, int axis, int64_t start, int64_t size) {
  Tensor view = shifted(t, start * t.strides[axis]);
  view.dims[axis] = size;
  return view;
}

void copy_tensor(ThreadPool& pool, const Tensor& from, const Tensor& to) {
  if (from.rank != to.rank || !std::equal(from.dims, from.dims + from.rank, to.dims) || from.dtype != to.dtype)
    throw Error(Code::kShapeMismatch, "a copy from " + std::string(info(from.dtype).name) +
                                          dims_text({from.dims, static_cast<size_t>(from.rank)}) + " to " +
                                          std::string(info(to.dtype).name) +
                                          dims_text({to.dims, static_cast<size_t>(to.rank)}));
  const int64_t n = to.count();
  if (n == 0) return;
  if (is_sub_byte(to.dtype)) {
    if (from.contiguous() && to.contiguous()) {
      std::memcpy(to.data, from.data, packed_bytes(to.dtype, n));
    } else if (info(to.dtype).bits == 2) {
      copy_packed<2>(from, to);
    } else {
      copy_packed<4>(from, to);
    }
    return;
  }
  const Tensor* tensors[] = {&to, &from};
  const Space space({to.dims, static_cast<size_t>(to.rank)}, tensors);
  visit_size("copy", to.dtype, [&](auto tag) { copy_elements<typename decltype(tag)::type>(pool, space, from, to); });
}

void register_copy() {
  register_kernel("copy", [](const StepInfo&) -> std::unique_ptr<Kernel> { return std::make_unique<Copy>(); });
}

}  // namespace tw
