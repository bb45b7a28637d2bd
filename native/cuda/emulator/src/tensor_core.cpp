// ldmatrix, stmatrix and mma.sync, from the fragment tables of the PTX ISA ("Matrix Fragments for mma.m16n8k…"). With
// g = lane / 4 and t = lane % 4:
//   accumulators: registers 0, 1 are row g, columns 2t, 2t + 1; registers 2, 3 are row g + 8.
//   A: register r is row g + 8 (r % 2); B: column g. With P elements in a register, element e of register r of A lies at
//   k = P t + e + 4 P (r / 2), of register r of B at k = P t + e + 4 P r.
#include <cstring>

#include "block.h"
#include "number.h"
#include "results.h"

using namespace tw_emulator;

namespace {

// Matrix instructions need all 32 lanes.
void meet_warp(Combine combine, void* arguments) {
  constexpr unsigned kAllLanes = 0xFFFFFFFFu;
  const Thread& thread = self();
  if (thread.block->warps[thread.linear / 32].lanes != kAllLanes) {
    fail(kLaunchFailed, "a matrix instruction in a warp of fewer than 32 threads");
  }
  tw_emulator_meet(kAllLanes, combine, arguments);
}

struct MatrixMove {
  unsigned* r;
  char* row;
  int count;
};

// Bytes of register r that lie in one row: two elements of one row, or, transposed, one of each of two rows.
template <bool Transposed, typename Move>
void for_each_piece(void** arguments, Move move) {
  const int count = static_cast<MatrixMove*>(arguments[0])->count;
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    auto* own = static_cast<MatrixMove*>(arguments[lane]);
    for (int matrix = 0; matrix < count; ++matrix) {
      auto* piece = reinterpret_cast<char*>(&own->r[matrix]);
      const auto row = [&](int i) { return static_cast<MatrixMove*>(arguments[8 * matrix + i])->row; };
      if constexpr (Transposed) {
        move(piece, row(2 * t) + 2 * g, 2);
        move(piece + 2, row(2 * t + 1) + 2 * g, 2);
      } else {
        move(piece, row(g) + 4 * t, 4);
      }
    }
  }
}

void load(char* piece, char* shared, size_t bytes) { std::memcpy(piece, shared, bytes); }
void store(char* piece, char* shared, size_t bytes) { std::memcpy(shared, piece, bytes); }

void combine_load(void** arguments, unsigned) { for_each_piece<false>(arguments, load); }
void combine_load_transposed(void** arguments, unsigned) { for_each_piece<true>(arguments, load); }
void combine_store(void** arguments, unsigned) { for_each_piece<false>(arguments, store); }
void combine_store_transposed(void** arguments, unsigned) { for_each_piece<true>(arguments, store); }

void move_matrices(unsigned* r, void* row, int count, Combine combine) {
  if (static_cast<int>(self().linear % 32) < 8 * count) {
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) fail(kMisalignedAddress, "a matrix row is not aligned to 16 bytes");
    if (!is_shared(row, 16)) fail(kIllegalAddress, "a matrix row lies outside of shared memory");
  }
  MatrixMove move{r, static_cast<char*>(row), count};
  meet_warp(combine, &move);
}

template <typename Accumulator>
struct Mma {
  Accumulator* c;
  const unsigned *a, *b;
  bool a_signed = true, b_signed = true;
};

// `Element(bits, e, is_signed)` reads element e of a register. Sums are kept in `Sum` and rounded once.
template <typename Accumulator, typename Sum, int PerRegister, typename Element>
void multiply(void** arguments, Element element) {
  constexpr int kK = 8 * PerRegister;
  Sum a[16][kK], b[kK][8], c[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    const auto& own = *static_cast<Mma<Accumulator>*>(arguments[lane]);
    for (int r = 0; r < 4; ++r) {
      c[g + 8 * (r / 2)][2 * t + r % 2] = static_cast<Sum>(own.c[r]);
      for (int e = 0; e < PerRegister; ++e) {
        a[g + 8 * (r % 2)][PerRegister * t + e + 4 * PerRegister * (r / 2)] = static_cast<Sum>(element(own.a[r], e, own.a_signed));
      }
    }
    for (int r = 0; r < 2; ++r) {
      for (int e = 0; e < PerRegister; ++e) {
        b[PerRegister * t + e + 4 * PerRegister * r][g] = static_cast<Sum>(element(own.b[r], e, own.b_signed));
      }
    }
  }
  for (int m = 0; m < 16; ++m) {
    for (int k = 0; k < kK; ++k) {
      for (int n = 0; n < 8; ++n) c[m][n] += a[m][k] * b[k][n];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    const auto& own = *static_cast<Mma<Accumulator>*>(arguments[lane]);
    for (int r = 0; r < 4; ++r) own.c[r] = static_cast<Accumulator>(c[g + 8 * (r / 2)][2 * t + r % 2]);
  }
}

uint16_t half(unsigned bits, int e) { return static_cast<uint16_t>(bits >> (16 * e)); }

void combine_f16(void** arguments, unsigned) {
  multiply<float, double, 2>(arguments, [](unsigned bits, int e, bool) { return float_of_f16(half(bits, e)); });
}
void combine_bf16(void** arguments, unsigned) {
  multiply<float, double, 2>(arguments, [](unsigned bits, int e, bool) { return float_of_bf16(half(bits, e)); });
}
void combine_tf32(void** arguments, unsigned) {
  multiply<float, double, 1>(arguments, [](unsigned bits, int, bool) { return float_of_tf32(bits); });
}
void combine_int8(void** arguments, unsigned) {
  multiply<int, unsigned, 4>(arguments, [](unsigned bits, int e, bool is_signed) {
    const auto byte = static_cast<uint8_t>(bits >> (8 * e));
    return is_signed ? static_cast<unsigned>(static_cast<int8_t>(byte)) : byte;
  });
}

}  // namespace

extern "C" {

void tw_emulator_ldmatrix(unsigned* r, const void* shared_row, int count, int transposed) {
  move_matrices(r, const_cast<void*>(shared_row), count, transposed ? combine_load_transposed : combine_load);
}
void tw_emulator_stmatrix(const unsigned* r, void* shared_row, int count, int transposed) {
  move_matrices(const_cast<unsigned*>(r), shared_row, count, transposed ? combine_store_transposed : combine_store);
}

void tw_emulator_mma_f16(float* c, const unsigned* a, const unsigned* b) {
  Mma<float> mma{c, a, b};
  meet_warp(combine_f16, &mma);
}
void tw_emulator_mma_bf16(float* c, const unsigned* a, const unsigned* b) {
  Mma<float> mma{c, a, b};
  meet_warp(combine_bf16, &mma);
}
void tw_emulator_mma_tf32(float* c, const unsigned* a, const unsigned* b) {
  Mma<float> mma{c, a, b};
  meet_warp(combine_tf32, &mma);
}
void tw_emulator_mma_int8(int* c, const unsigned* a, const unsigned* b, int a_signed, int b_signed) {
  Mma<int> mma{c, a, b, a_signed != 0, b_signed != 0};
  meet_warp(combine_int8, &mma);
}

float tw_emulator_f16_to_f32(unsigned short bits) { return float_of_f16(bits); }
unsigned short tw_emulator_f32_to_f16(float x) { return f16_of_float(x); }
unsigned short tw_emulator_f32_to_bf16(float x) { return bf16_of_float(x); }
unsigned tw_emulator_f32_to_tf32(float x) { return tf32_of_float(x); }
}
