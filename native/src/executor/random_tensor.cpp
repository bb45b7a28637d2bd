#include "executor/random_tensor.h"

#include "executor/layout.h"

namespace tw {
namespace {

template <typename T, typename F>
void fill_with(const Tensor& t, F value) {
  T* data = t.as<T>();
  for (size_t i = 0, n = dense_bytes(t) / sizeof(T); i < n; ++i) data[i] = static_cast<T>(value());
}

}  // namespace

void fill(const Tensor& t, Random& random) {
  switch (t.dtype) {
    case DType::kFloat32:
    case DType::kComplex64:
      return fill_with<float>(t, [&] { return random.unit(); });
    case DType::kFloat64:
    case DType::kComplex128:
      return fill_with<double>(t, [&] { return random.unit(); });
    case DType::kFloat16:  // sign and mantissa at random, exponent -1: 0.5 to 1
      return fill_with<uint16_t>(t, [&] { return (random.next() & 0x83FF) | 0x3800; });
    case DType::kBFloat16:
      return fill_with<uint16_t>(t, [&] { return (random.next() & 0x807F) | 0x3F00; });
    case DType::kInt64:
    case DType::kUInt64:
      return fill_with<uint64_t>(t, [&] { return random.next() & 1; });
    case DType::kInt32:
    case DType::kUInt32:
      return fill_with<uint32_t>(t, [&] { return random.next() & 1; });
    case DType::kInt16:
    case DType::kUInt16:
      return fill_with<uint16_t>(t, [&] { return random.next() & 1; });
    case DType::kBool:
      return fill_with<uint8_t>(t, [&] { return random.next() & 1; });
    default: {
      auto* bytes = t.as<uint8_t>();
      const uint8_t mask = t.dtype == DType::kInt8 || t.dtype == DType::kUInt8 || info(t.dtype).bits < 8 ? 0xFF : 0xB7;
      for (size_t i = 0, n = dense_bytes(t); i < n; ++i) bytes[i] = static_cast<uint8_t>(random.next()) & mask;
    }
  }
}

}  // namespace tw
