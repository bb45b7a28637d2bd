// The 128 bytes of a tensor map. The driver's are opaque; these hold the parameters as they were given.
#pragma once
#include <cstdint>

namespace tw_emulator {

struct alignas(64) TensorMap {
  static constexpr uint32_t kMagic = 0x50414D54;
  uint32_t magic;
  uint8_t is_im2col, element_bytes, rank, swizzle;  // a CUtensorMapSwizzle
  uint64_t unused;  // hosts clear a bit of this word, as some drivers need it
  uint64_t address;
  uint64_t strides[4];  // bytes, of dimensions 1 …
  uint32_t dims[5];
  uint16_t box[5];  // or channels per pixel, pixels per column
  uint8_t steps[5];
  int16_t lower[3], upper[3];  // im2col: the corners of the box of pixels
};
static_assert(sizeof(TensorMap) == 128);

}  // namespace tw_emulator
