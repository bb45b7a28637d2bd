// The tile registers and their instructions. With TW_PORTABLE_TILES the same in plain C++, so that what is built on
// them can be tested on any processor. Numbers of tiles are literals: 0 to 7.
#pragma once
#include <cstdint>
#include <cstring>

#if !defined(TW_PORTABLE_TILES)
#include <immintrin.h>
#endif

namespace tw::TW_ISA_NAMESPACE {

constexpr int kTileRows = 16, kTileWords = 16;

// Rows of at most 64 bytes; a tile without rows may not be used.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
  void set(int tile, int tile_rows) {
    row_bytes[tile] = static_cast<uint16_t>(tile_rows ? 4 * kTileWords : 0);
    rows[tile] = static_cast<uint8_t>(tile_rows);
  }
};
static_assert(sizeof(TileShapes) == 64);

#if defined(TW_PORTABLE_TILES)

struct PortableTiles {
  TileShapes shapes;
  uint32_t word[8][kTileRows][kTileWords] = {};
  int uses_of_unshaped = 0;

  int rows(int tile) {
    uses_of_unshaped += shapes.rows[tile] == 0;
    return shapes.rows[tile];
  }
  void load(int tile, const void* from, int64_t stride) {
    for (int r = 0; r < rows(tile); ++r)
      std::memcpy(word[tile][r], static_cast<const char*>(from) + r * stride, sizeof(word[tile][r]));
  }
  void store(int tile, void* to, int64_t stride) {
    for (int r = 0; r < rows(tile); ++r)
      std::memcpy(static_cast<char*>(to) + r * stride, word[tile][r], sizeof(word[tile][r]));
  }
  void zero(int tile) { std::memset(word[tile], 0, sizeof(word[tile])); }
  template <typename F>
  void multiply(int c, int a, int b, F&& add) {
    for (int r = 0; r < rows(c); ++r) {
      for (int k = 0; k < rows(b); ++k) {
        for (int j = 0; j < kTileWords; ++j) word[c][r][j] = add(word[c][r][j], word[a][r][k], word[b][k][j]);
      }
    }
    rows(a);
  }
  void multiply_bfloat16(int c, int a, int b) {
    multiply(c, a, b, [](uint32_t sum, uint32_t x, uint32_t y) {
      const auto number = [](uint32_t bits) { return __builtin_bit_cast(float, bits); };
      const float pair = number(x << 16) * number(y << 16) + number(x & 0xFFFF0000u) * number(y & 0xFFFF0000u);
      return __builtin_bit_cast(uint32_t, number(sum) + pair);
    });
  }
  void multiply_int8(int c, int a, int b) {
    multiply(c, a, b, [](uint32_t sum, uint32_t x, uint32_t y) {
      for (int i = 0; i < 32; i += 8)
        sum += static_cast<uint32_t>(int{static_cast<uint8_t>(x >> i)} * int{static_cast<int8_t>(y >> i)});
      return sum;
    });
  }
};
inline PortableTiles& portable_tiles() {
  static PortableTiles tiles;
  return tiles;
}
#define TW_TILE_SHAPES(shapes_) (portable_tiles().shapes = *(shapes_))
#define TW_TILE_RELEASE() (portable_tiles() = {})
#define TW_TILE_LOAD(tile, from, stride) portable_tiles().load(tile, from, stride)
#define TW_TILE_STORE(tile, to, stride) portable_tiles().store(tile, to, stride)
#define TW_TILE_ZERO(tile) portable_tiles().zero(tile)
#define TW_TILE_BFLOAT16(c, a, b) portable_tiles().multiply_bfloat16(c, a, b)
#define TW_TILE_INT8(c, a, b) portable_tiles().multiply_int8(c, a, b)

#else

#define TW_TILE_SHAPES(shapes_) _tile_loadconfig(shapes_)
#define TW_TILE_RELEASE() _tile_release()
#define TW_TILE_LOAD(tile, from, stride) _tile_loadd(tile, from, stride)
#define TW_TILE_STORE(tile, to, stride) _tile_stored(tile, to, stride)
#define TW_TILE_ZERO(tile) _tile_zero(tile)
#define TW_TILE_BFLOAT16(c, a, b) _tile_dpbf16ps(c, a, b)
#define TW_TILE_INT8(c, a, b) _tile_dpbusd(c, a, b)

#endif

}  // namespace tw::TW_ISA_NAMESPACE
