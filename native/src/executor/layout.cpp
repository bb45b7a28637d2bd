#include "executor/layout.h"

#include <cstring>
#include <limits>

#include "executor/checked.h"
#include "kernels/common/shape.h"

namespace tw {
namespace {

[[noreturn]] void too_large(std::span<const int64_t> dims, const char* what) {
  throw Error(Code::kLimitExceeded, std::string(what) + " has too many elements: " + dims_text(dims));
}

template <typename T>
void copy_rows(const Tensor& from, const Tensor& to) {
  const int last = from.rank - 1;
  Walk<2> walk;
  for (int i = 0; i < last; ++i) walk.add(from.dims[i], {from.strides[i], to.strides[i]});
  const int64_t rows = walk.count();
  const int64_t count = last < 0 ? 1 : from.dims[last];
  const int64_t from_step = last < 0 ? 0 : from.strides[last], to_step = last < 0 ? 0 : to.strides[last];
  walk.seek(0);
  for (int64_t row = 0; row < rows; ++row, walk.next()) {
    const T* source = from.as<T>() + walk.offset[0];
    T* target = to.as<T>() + walk.offset[1];
    if (from_step == 1 && to_step == 1)
      std::memcpy(target, source, static_cast<size_t>(count) * sizeof(T));
    else
      for (int64_t i = 0; i < count; ++i) target[i * to_step] = source[i * from_step];
  }
}

}  // namespace

void set_dense(Tensor& tensor, std::span<const int64_t> dims, std::span<const int8_t> order, const char* what) {
  // Empty tensors have strides of zero as in set_row_major(); the bound must hold for the other dims all the same.
  constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 256;
  if (dims.size() > kMaxRank)
    throw Error(Code::kUnsupported, std::string(what) + " has rank " + std::to_string(dims.size()) + ", at most " +
                                        std::to_string(kMaxRank) + " are supported");
  tensor.rank = static_cast<int>(dims.size());
  int64_t stride = 1, extent = 1;
  for (int k = tensor.rank - 1; k >= 0; --k) {
    const int axis = order.empty() ? k : order[static_cast<size_t>(k)];
    const int64_t dim = dims[static_cast<size_t>(axis)];
    if (dim < 0) throw Error(Code::kShapeMismatch, std::string(what) + " has a negative dimension: " + dims_text(dims));
    tensor.dims[axis] = dim;
    tensor.strides[axis] = stride;
    const auto next = checked_mul(extent, dim > 1 ? dim : 1);
    if (!next || *next > kMaxElements) too_large(dims, what);
    extent = *next;
    stride *= dim;
  }
}

size_t view_offset(const Tensor& view, int64_t offset, size_t bytes, const char* what) {
  const int bits = info(view.dtype).bits;
  int64_t low = offset, high = offset;
  for (int i = 0; i < view.rank; ++i) {
    if (view.dims[i] < 0)
      throw Error(Code::kShapeMismatch, std::string(what) + " has a negative dimension: " + dims_text(view));
    if (view.dims[i] == 0) return 0;
    const auto span = checked_mul(view.dims[i] - 1, view.strides[i]);
    const auto end = span ? checked_add(*span < 0 ? low : high, *span) : std::nullopt;
    if (!end) too_large(dims_of(view), what);
    (*span < 0 ? low : high) = *end;
  }
  const auto last = checked_add(high, 1);
  const auto last_bit = last ? checked_mul(*last, bits) : std::nullopt;
  if (low < 0 || !last_bit || static_cast<uint64_t>((*last_bit + 7) / 8) > bytes)
    throw Error(Code::kShapeMismatch, std::string(what) + ": the view " + dims_text(view) + " from element " +
                                          std::to_string(offset) + " on leaves its value's " + std::to_string(bytes) +
                                          " bytes");
  if (bits < 8 && (!view.contiguous() || offset * bits % 8 != 0))
    throw Error(Code::kUnsupported, std::string(what) + ": a view of " + std::string(info(view.dtype).name) +
                                        " must be dense and begin on a byte");
  return static_cast<size_t>(offset * bits / 8);
}

void copy_elements(const Tensor& from, const Tensor& to) {
  const int64_t count = from.count();
  if (count == 0) return;
  if (from.contiguous() && to.contiguous()) {
    std::memmove(to.data, from.data, packed_bytes(from.dtype, count));
    return;
  }
  visit_size("copy", from.dtype, [&](auto tag) { copy_rows<typename decltype(tag)::type>(from, to); });
}

std::string dims_text(const Tensor& tensor) { return tensor.rank < 0 ? "[…]" : dims_text(dims_of(tensor)); }

}  // namespace tw
