// wgmma: multiplied when the warpgroup waits, from what its descriptors point at then. Layouts follow the PTX ISA
// ("Asynchronous Warpgroup Level Matrix Shared Memory Layout"): operands are chunks of 16 bytes, whose places the
// descriptor gives and its swizzle permutes.
#include <algorithm>
#include <cstring>
#include <vector>

#include "block.h"
#include "number.h"
#include "results.h"

using namespace tw_emulator;

namespace {

constexpr int kF16 = 0, kBf16 = 1, kTf32 = 2, kI8 = 3;
int element_bytes(int kind) { return kind <= kBf16 ? 2 : kind == kTf32 ? 4 : 1; }
int depth(int kind) { return 32 / element_bytes(kind); }

double value_of(int kind, const char* p) {
  uint16_t half;
  uint32_t word;
  switch (kind) {
    case kF16:
      return std::memcpy(&half, p, 2), float_of_f16(half);
    case kBf16:
      return std::memcpy(&half, p, 2), float_of_bf16(half);
    case kTf32:
      return std::memcpy(&word, p, 4), float_of_tf32(word);
    case kI8:
      return static_cast<int8_t>(*p);
    default:
      return static_cast<uint8_t>(*p);
  }
}

struct Descriptor {
  unsigned start, leading, stride, span;  // bytes; a span of 0 is no swizzle
  explicit Descriptor(uint64_t bits) {
    const auto field = [&](int at) { return static_cast<unsigned>(bits >> at & 0x3FFF) << 4; };
    start = field(0);
    leading = field(16);
    stride = field(32);
    constexpr unsigned kSpans[] = {0, 128, 64, 32};
    span = kSpans[bits >> 62];
    if (bits >> 49 & 7) fail(kNotSupported, "a wgmma descriptor with a base offset: align tiles to 1024 bytes");
  }
  const char* at(unsigned offset) const {
    unsigned address = start + offset;
    if (span) address ^= (address >> 7 & (span / 16 - 1)) << 4;
    return shared_pointer(address);
  }
};

// An operand as values [k][rows], rows being M or N.
std::vector<double> read_operand(int kind, uint64_t bits, int rows, bool transposed) {
  const Descriptor d(bits);
  const int k_count = depth(kind), size = element_bytes(kind), per_chunk = 16 / size;
  std::vector<double> out(static_cast<size_t>(k_count) * rows);
  if (!transposed) {
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < 2; ++c) {
        const unsigned row = static_cast<unsigned>(r);
        const unsigned offset = d.span ? row / 8 * d.stride + row % 8 * d.span + 16 * c
                                       : row / 8 * d.stride + row % 8 * 16 + c * d.leading;
        const char* chunk = d.at(offset);
        for (int e = 0; e < per_chunk; ++e) out[static_cast<size_t>(c * per_chunk + e) * rows + r] = value_of(kind, chunk + e * size);
      }
    }
    return out;
  }
  const unsigned per_span = d.span / 16;  // chunks
  for (int k = 0; k < k_count; ++k) {
    for (int c = 0; c < rows / 8; ++c) {
      const unsigned chunk_index = static_cast<unsigned>(c), kk = static_cast<unsigned>(k);
      const unsigned offset =
          d.span ? chunk_index % per_span * 16 + chunk_index / per_span * d.leading + kk % 8 * d.span + kk / 8 * d.stride
                 : chunk_index * d.stride + kk % 8 * 16 + kk / 8 * d.leading;
      const char* chunk = d.at(offset);
      for (int e = 0; e < 8; ++e) out[static_cast<size_t>(k) * rows + c * 8 + e] = value_of(kind, chunk + e * size);
    }
  }
  return out;
}

// A from registers: each warp's 16 rows are the A fragment of mma.m16n8.
std::vector<double> read_fragments(const Thread* group, size_t index) {
  const int kind = group->multiplies[index].kind, k_count = depth(kind), size = element_bytes(kind), per = 4 / size;
  std::vector<double> out(static_cast<size_t>(k_count) * 64);
  for (int thread = 0; thread < 128; ++thread) {
    const int lane = thread % 32, g = lane / 4, t = lane % 4;
    for (int r = 0; r < 4; ++r) {
      const auto* bytes = reinterpret_cast<const char*>(&group[thread].multiplies[index].fragment[r]);
      for (int e = 0; e < per; ++e) {
        const int row = 16 * (thread / 32) + g + 8 * (r % 2), k = per * t + e + 4 * per * (r / 2);
        out[static_cast<size_t>(k) * 64 + row] = value_of(kind, bytes + e * size);
      }
    }
  }
  return out;
}

template <typename Result>
void multiply(Thread* group, size_t index) {
  const WarpgroupMultiply& op = group->multiplies[index];
  const int n = op.n, k_count = depth(op.kind);
  const auto a = op.has_fragment ? read_fragments(group, index) : read_operand(op.kind, op.a, 64, op.transpose_a);
  const auto b = read_operand(op.kind, op.b, n, op.transpose_b);
  std::vector<double> sums(static_cast<size_t>(64) * n, 0.0);  // exact for integers too: below 2^53
  for (int m = 0; m < 64; ++m) {
    double* row = &sums[static_cast<size_t>(m) * n];
    for (int k = 0; k < k_count; ++k) {
      const double x = a[static_cast<size_t>(k) * 64 + m];
      const double* y = &b[static_cast<size_t>(k) * n];
      for (int j = 0; j < n; ++j) row[j] += x * y[j];
    }
  }
  for (int thread = 0; thread < 128; ++thread) {
    const int lane = thread % 32;
    const WarpgroupMultiply& own = group[thread].multiplies[index];
    auto* d = static_cast<Result*>(own.d);
    for (int i = 0; i < n / 2; ++i) {
      const int row = 16 * (thread / 32) + lane / 4 + 8 * (i / 2 % 2), column = 8 * (i / 4) + 2 * (lane % 4) + i % 2;
      const double sum = sums[static_cast<size_t>(row) * n + column];
      if constexpr (sizeof(Result) == 4 && Result(0.5) != 0) {
        d[i] = static_cast<float>(own.accumulate ? d[i] + sum : sum);
      } else {
        const auto wrapped = static_cast<uint32_t>(static_cast<int64_t>(sum));
        d[i] = static_cast<Result>(own.accumulate ? static_cast<uint32_t>(d[i]) + wrapped : wrapped);
      }
    }
  }
}

bool same(const WarpgroupMultiply& x, const WarpgroupMultiply& y) {
  return x.kind == y.kind && x.n == y.n && x.a == y.a && x.b == y.b && x.accumulate == y.accumulate &&
         x.has_fragment == y.has_fragment && x.group == y.group;
}

}  // namespace

extern "C" {

void tw_emulator_wgmma(int kind, int n, void* d, const unsigned* fragment, unsigned long long a, unsigned long long b,
                       int accumulate, int transpose_a, int transpose_b) {
  Thread& thread = self();
  const int multiple = kind >= kI8 && n > 32 ? 16 : 8;
  if (n < 8 || n > 256 || n % multiple) fail(kNotSupported, "wgmma has no such width");
  if (kind >= kTf32 && (transpose_a || transpose_b)) fail(kNotSupported, "wgmma transposes operands of 16 bits only");
  WarpgroupMultiply op{kind, n, d, fragment != nullptr, accumulate != 0, transpose_a != 0, transpose_b != 0, {}, a, b,
                       thread.multiply_group};
  if (fragment) std::memcpy(op.fragment, fragment, sizeof op.fragment);
  thread.multiplies.push_back(op);
}

void tw_emulator_wgmma_commit() { ++self().multiply_group; }

void tw_emulator_wgmma_wait(int pending_groups) {
  Thread& thread = self();
  const unsigned warpgroup = thread.linear / 128;
  if (128 * (warpgroup + 1) > thread.block->threads.size()) fail(kLaunchFailed, "wgmma in an incomplete warpgroup");
  const int barrier = 16 + static_cast<int>(warpgroup);
  if (!arrive(barrier, 128, 0)) return wait_at_barrier(barrier);
  const unsigned before = thread.multiply_group - std::min(thread.multiply_group, static_cast<unsigned>(pending_groups));
  Thread* group = &thread.block->threads[128 * warpgroup];
  size_t count = 0;
  while (count < group->multiplies.size() && group->multiplies[count].group < before) ++count;
  for (size_t i = 0; i < count; ++i) {
    for (int t = 1; t < 128; ++t) {
      if (group[t].multiplies.size() <= i || !same(group[t].multiplies[i], group->multiplies[i])) {
        fail(kLaunchFailed, "the threads of a warpgroup issued different wgmmas");
      }
    }
    if (group->multiplies[i].kind >= kI8) multiply<int>(group, i);
    else multiply<float>(group, i);
  }
  for (int t = 0; t < 128; ++t) {
    auto& list = group[t].multiplies;
    list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

}  // extern "C"
