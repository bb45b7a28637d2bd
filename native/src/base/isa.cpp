// Asks the processor, and the operating system's saved register state, which instruction set level may run.
#include "base/isa_extensions.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

#if TW_X86
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace tw {
namespace {

struct Detected {
  Isa level = Isa::kV2;
  bool vnni = false;
  bool bf16 = false;
  bool avx_vnni = false;
};

#if TW_X86

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
#if defined(_MSC_VER)
  int out[4];
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<uint32_t>(out[0]), static_cast<uint32_t>(out[1]), static_cast<uint32_t>(out[2]),
       static_cast<uint32_t>(out[3])};
#else
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

// Which register files the operating system saves: bit 1 SSE, 2 AVX, 5-7 AVX-512, 17-18 AMX.
uint64_t enabled_state() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

// Linux gives a process the tile registers only when asked.
bool request_tiles() {
#if defined(__linux__)
  constexpr long kArchReqXcompPerm = 0x1023, kXfeatureXtiledata = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
#else
  return true;
#endif
}

bool all(uint32_t word, std::initializer_list<int> bits) {
  return std::all_of(bits.begin(), bits.end(), [&](int b) { return (word >> b) & 1; });
}

Detected detect() {
  Detected d;
  const uint32_t highest = cpuid(0, 0).eax;
  if (highest < 7) return d;
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0);
  const Registers seven_one = seven.eax >= 1 ? cpuid(7, 1) : Registers{};
  const uint32_t extended = cpuid(0x80000000u, 0).eax >= 0x80000001u ? cpuid(0x80000001u, 0).ecx : 0;

  // FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT.
  if (!all(one.ecx, {12, 22, 27, 28, 29}) || !all(seven.ebx, {3, 5, 8}) || !all(extended, {5})) return d;
  const uint64_t state = enabled_state();
  if ((state & 0x6) != 0x6) return d;
  d.level = Isa::kAvx2;
  d.avx_vnni = all(seven_one.eax, {4});

  // F, DQ, CD, BW, VL.
  if (!all(seven.ebx, {16, 17, 28, 30, 31}) || (state & 0xE6) != 0xE6) return d;
  d.level = Isa::kAvx512;
  d.vnni = all(seven.ecx, {11});
  d.bf16 = all(seven_one.eax, {5});

  // What -march=sapphirerapids may use beside the tiles: IFMA; VBMI, VBMI2, GFNI, VAES, VPCLMULQDQ, VNNI, BITALG,
  // VPOPCNTDQ; FP16, AMX-BF16, AMX-TILE, AMX-INT8; AVX-VNNI, BF16.
  const bool sapphire_rapids = all(seven.ebx, {21}) && all(seven.ecx, {1, 6, 8, 9, 10, 11, 12, 14}) &&
                               all(seven.edx, {22, 23, 24, 25}) && all(seven_one.eax, {4, 5});
  if (sapphire_rapids && (state & 0x60000) == 0x60000 && request_tiles()) d.level = Isa::kAmx;
  return d;
}

#else

Detected detect() { return {}; }

#endif

const Detected& detected() {
  static const Detected d = [] {
    Detected found = detect();
    found.level = std::min(found.level, static_cast<Isa>(TW_BUILT_ISA_LEVEL));
    return found;
  }();
  return d;
}

std::atomic<Isa> limit{Isa::kAmx};
std::atomic<bool> extensions{true};

}  // namespace

Isa detected_isa() { return detected().level; }

Isa isa() { return std::min(detected().level, limit.load(std::memory_order_relaxed)); }

void limit_isa(Isa level) { limit.store(level, std::memory_order_relaxed); }

std::string_view name(Isa level) {
  switch (level) {
    case Isa::kV2:
      return TW_X86 ? "x86-64-v2" : "generic";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

bool has_vnni() { return detected().vnni && isa() >= Isa::kAvx512 && extensions; }

bool has_avx512_bf16() { return detected().bf16 && isa() >= Isa::kAvx512 && extensions; }

bool has_avx_vnni() { return detected().avx_vnni && isa() >= Isa::kAvx2 && extensions; }

void limit_extensions(bool allowed) { extensions = allowed; }

}  // namespace tw
