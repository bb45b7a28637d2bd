// cuTensorMapEncode…: the driver's checks, without its encoding.
#include "tensor_map.h"

#include "driver.h"

using namespace tw_emulator;

namespace {

// By CUtensorMapDataType; the packed types are not emulated.
constexpr int kElementBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
constexpr unsigned kSwizzleSpan[] = {0xFFFFFFFF, 32, 64, 128};  // by CUtensorMapSwizzle
constexpr int kNoInterleave = 0;

// What both kinds of map have. False if the driver would refuse it.
bool encode_common(TensorMap& map, int type, uint32_t rank, uint64_t address, const uint64_t* dims,
                   const uint64_t* strides, const uint32_t* steps, int interleave, int swizzle, int fill) {
  if (type < 0 || type >= static_cast<int>(std::size(kElementBytes)) || rank < 1 || rank > 5) return false;
  if (address % 16 || interleave != kNoInterleave || swizzle < 0 || swizzle > 3 || fill != 0) return false;
  map = {};
  map.magic = TensorMap::kMagic;
  map.element_bytes = static_cast<uint8_t>(kElementBytes[type]);
  map.rank = static_cast<uint8_t>(rank);
  map.swizzle = static_cast<uint8_t>(swizzle);
  map.address = address;
  for (uint32_t i = 0; i < rank; ++i) {
    if (dims[i] == 0 || dims[i] > 0xFFFFFFFF || steps[i] == 0 || steps[i] > 8) return false;
    map.dims[i] = static_cast<uint32_t>(dims[i]);
    map.steps[i] = i == 0 ? 1 : static_cast<uint8_t>(steps[i]);
    if (i == 0) continue;
    if (strides[i - 1] % 16 || strides[i - 1] >> 40) return false;
    map.strides[i - 1] = strides[i - 1];
  }
  return true;
}

bool fits_inner(const TensorMap& map, unsigned elements) {
  const unsigned bytes = elements * map.element_bytes;
  return bytes % 16 == 0 && bytes <= kSwizzleSpan[map.swizzle];
}

}  // namespace

TW_DRIVER cuTensorMapEncodeTiled(TensorMap* map, int type, uint32_t rank, void* address, const uint64_t* dims,
                                 const uint64_t* strides, const uint32_t* box, const uint32_t* steps, int interleave,
                                 int swizzle, int, int fill) {
  if (reinterpret_cast<uintptr_t>(map) % 64) return kInvalidValue;
  const auto base = reinterpret_cast<uint64_t>(address);
  if (!encode_common(*map, type, rank, base, dims, strides, steps, interleave, swizzle, fill)) return kInvalidValue;
  for (uint32_t i = 0; i < rank; ++i) {
    if (box[i] == 0 || box[i] > 256) return kInvalidValue;
    map->box[i] = static_cast<uint16_t>(box[i]);
  }
  return fits_inner(*map, box[0]) ? kSuccess : kInvalidValue;
}

TW_DRIVER cuTensorMapEncodeIm2col(TensorMap* map, int type, uint32_t rank, void* address, const uint64_t* dims,
                                  const uint64_t* strides, const int* lower, const int* upper, uint32_t channels,
                                  uint32_t pixels, const uint32_t* steps, int interleave, int swizzle, int, int fill) {
  if (reinterpret_cast<uintptr_t>(map) % 64 || rank < 3) return kInvalidValue;
  const auto base = reinterpret_cast<uint64_t>(address);
  if (!encode_common(*map, type, rank, base, dims, strides, steps, interleave, swizzle, fill)) return kInvalidValue;
  map->is_im2col = 1;
  const int limit = rank == 3 ? 32768 : rank == 4 ? 128 : 16;
  for (uint32_t i = 0; i + 2 < rank; ++i) {
    if (lower[i] < -limit || lower[i] >= limit || upper[i] < -limit || upper[i] >= limit) return kInvalidValue;
    if (static_cast<int64_t>(dims[i + 1]) + upper[i] <= lower[i]) return kInvalidValue;
    map->lower[i] = static_cast<int16_t>(lower[i]);
    map->upper[i] = static_cast<int16_t>(upper[i]);
  }
  if (channels == 0 || channels > 256 || pixels == 0 || pixels > 1024) return kInvalidValue;
  map->box[0] = static_cast<uint16_t>(channels);
  map->box[1] = static_cast<uint16_t>(pixels);
  return fits_inner(*map, channels) ? kSuccess : kInvalidValue;
}

TW_DRIVER cuTensorMapReplaceAddress(TensorMap* map, void* address) {
  if (reinterpret_cast<uintptr_t>(address) % 16) return kInvalidValue;
  return map->address = reinterpret_cast<uint64_t>(address), kSuccess;
}
