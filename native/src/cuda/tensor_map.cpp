#include "cuda/tensor_map.h"

#include <charconv>
#include <sstream>

namespace tw::cuda {
namespace {

constexpr int kPromote256Bytes = 3;
// Drivers up to this one set a bit in maps of small tensors that makes loads across their bounds fault on Blackwell, and
// that Hopper ignores (known issues of driver 595.71.05; CUTLASS and Triton clear it, too).
constexpr int kLastDriverWithSmallTensorBit = 13010;
constexpr uint64_t kSmallTensorBytes = 128 * 1024, kSmallTensorBit = uint64_t{1} << 21;

[[noreturn]] void invalid(const std::string& text) {
  throw Error(Code::kInvalidPlan, "attributes.members: '" + text + "' is no tensor map");
}

template <typename T>
std::vector<T> list(const std::string& text, const std::string& whole) {
  std::vector<T> values;
  const char *at = text.data(), *end = at + text.size();
  while (at < end) {
    T value;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (next < end && *next != ',')) invalid(whole);
    values.push_back(value);
    at = next + (next < end ? 1 : 0);
  }
  return values;
}

template <typename T>
T single(const std::string& text, const std::string& whole) {
  const auto values = list<T>(text, whole);
  if (values.size() != 1) invalid(whole);
  return values[0];
}

int data_type(int bytes) { return bytes == 1 ? 0 : bytes == 2 ? 1 : 2; }  // UINT8, UINT16, UINT32
int swizzle_mode(int bytes) { return bytes == 128 ? 3 : bytes == 64 ? 2 : bytes == 32 ? 1 : 0; }

}  // namespace

TensorMapSpec TensorMapSpec::parse(const std::string& text, size_t numbers) {
  TensorMapSpec spec;
  std::istringstream in(text);
  for (std::string part; in >> part;) {
    const std::string rest = part.substr(1);
    switch (part[0]) {
      case 'm':
        if (rest.empty() || (rest[0] != 'i' && rest[0] != 'o')) invalid(text);
        spec.output = rest[0] == 'o';
        spec.operand = single<size_t>(rest.substr(1), text);
        break;
      case 'e': spec.element_bytes = single<int>(rest, text); break;
      case 'z': spec.swizzle = single<int>(rest, text); break;
      case 'd': spec.dims = list<size_t>(rest, text); break;
      case 's': spec.strides = list<size_t>(rest, text); break;
      case 'b': spec.box = list<uint32_t>(rest, text); break;
      case 't': spec.element_strides = list<uint32_t>(rest, text); break;
      case 'l': spec.lower = list<int>(rest, text); break;
      case 'u': spec.upper = list<int>(rest, text); break;
      default: invalid(text);
    }
  }
  const size_t rank = spec.dims.size();
  if (spec.element_strides.empty()) spec.element_strides.assign(rank, 1);
  const bool im2col = !spec.lower.empty();
  const bool sizes = rank >= 1 && rank <= 5 && spec.strides.size() + 1 == rank && spec.element_strides.size() == rank &&
                     spec.box.size() == (im2col ? 2 : rank) && spec.lower.size() == spec.upper.size() &&
                     (!im2col || spec.lower.size() + 2 == rank);
  if (!sizes || (spec.element_bytes != 1 && spec.element_bytes != 2 && spec.element_bytes != 4)) invalid(text);
  for (const auto* indices : {&spec.dims, &spec.strides})
    for (const size_t i : *indices)
      if (i >= numbers) invalid(text);
  return spec;
}

TensorMap TensorMapSpec::encode(void* address, std::span<const int64_t> numbers) const {
  const Driver& d = driver();
  uint64_t extents[5] = {}, byte_strides[5] = {};
  for (size_t i = 0; i < dims.size(); ++i) extents[i] = static_cast<uint64_t>(numbers[dims[i]]);
  for (size_t i = 0; i < strides.size(); ++i) byte_strides[i] = static_cast<uint64_t>(numbers[strides[i]]);
  // From the first byte to the last one.
  uint64_t bytes = extents[0] * static_cast<uint64_t>(element_bytes);
  for (size_t i = 0; i < strides.size(); ++i) bytes += (extents[i + 1] - 1) * byte_strides[i];
  TensorMap map;
  const auto rank = static_cast<unsigned>(dims.size());
  Result result;
  if (lower.empty()) {
    if (!d.cuTensorMapEncodeTiled) throw Error(Code::kBackendUnavailable, "the driver has no cuTensorMapEncodeTiled");
    result = d.cuTensorMapEncodeTiled(&map, data_type(element_bytes), rank, address, extents, byte_strides, box.data(),
                                      element_strides.data(), 0, swizzle_mode(swizzle), kPromote256Bytes, 0);
  } else {
    if (!d.cuTensorMapEncodeIm2col) throw Error(Code::kBackendUnavailable, "the driver has no cuTensorMapEncodeIm2col");
    result = d.cuTensorMapEncodeIm2col(&map, data_type(element_bytes), rank, address, extents, byte_strides,
                                       lower.data(), upper.data(), box[0], box[1], element_strides.data(), 0,
                                       swizzle_mode(swizzle), kPromote256Bytes, 0);
  }
  d.check(result, lower.empty() ? "cuTensorMapEncodeTiled" : "cuTensorMapEncodeIm2col");
  if (bytes < kSmallTensorBytes && d.version <= kLastDriverWithSmallTensorBit) map.words[1] &= ~kSmallTensorBit;
  return map;
}

}  // namespace tw::cuda
