// mbarrier objects and clusters. Our own layout of the 64 bits: the number of arrivals of a phase (20 bits), arrivals
// still missing (20), bytes still missing (23, signed: they may come before they are expected), the phase's parity.
#include <algorithm>

#include "block.h"
#include "results.h"

using namespace tw_emulator;

namespace {

constexpr unsigned kCountMask = (1u << 20) - 1;
constexpr uint64_t kBytesMask = (1u << 23) - 1, kPhaseBit = uint64_t{1} << 63;

struct Fields {
  unsigned arrivals, missing;
  int bytes;
  bool parity;
};

Fields unpack(uint64_t word) {
  const auto raw = static_cast<unsigned>(word >> 40 & kBytesMask);
  return {static_cast<unsigned>(word) & kCountMask, static_cast<unsigned>(word >> 20) & kCountMask,
          static_cast<int>(raw << 9) >> 9, (word & kPhaseBit) != 0};
}

uint64_t pack(const Fields& f) {
  return f.arrivals | uint64_t{f.missing} << 20 | (static_cast<uint64_t>(f.bytes) & kBytesMask) << 40 |
         (f.parity ? kPhaseBit : 0);
}

void store(unsigned long long* barrier, Fields f) {
  if (f.missing == 0 && f.bytes == 0) {
    f.parity = !f.parity;
    f.missing = f.arrivals;
  }
  *barrier = pack(f);
}

Fields load(const unsigned long long* barrier) {
  const Fields f = unpack(*barrier);
  // Fresh shared memory is all ones.
  if (f.arrivals == 0 || f.arrivals == kCountMask) fail(kLaunchFailed, "used an mbarrier that was not initialised");
  return f;
}

}  // namespace

void tw_emulator::complete_bytes(unsigned long long* barrier, unsigned bytes) {
  Fields f = unpack(*barrier);
  f.bytes -= static_cast<int>(bytes);
  store(barrier, f);
}

bool tw_emulator::is_mbarrier(const unsigned long long* barrier, unsigned arrivals) {
  const Fields f = unpack(*barrier);
  return f.arrivals == arrivals && f.missing <= arrivals;
}

extern "C" {

void tw_emulator_mbarrier_init(unsigned long long* barrier, unsigned arrivals) {
  if (!is_shared(barrier, 8) || reinterpret_cast<uintptr_t>(barrier) % 8) {
    fail(kIllegalAddress, "an mbarrier must lie in shared memory, aligned to 8 bytes");
  }
  if (arrivals == 0 || arrivals >= kCountMask) fail(kLaunchFailed, "an mbarrier of so many arrivals");
  Block& block = *self().block;
  // The prelude invalidates none, so what has become one stays one until the block ends.
  if (std::any_of(block.mbarriers.begin(), block.mbarriers.end(), [&](const auto& b) { return b.first == barrier; })) {
    fail(kLaunchFailed, "initialised an mbarrier again that was not invalidated");
  }
  *barrier = pack({arrivals, arrivals, 0, false});
  block.mbarriers.emplace_back(barrier, arrivals);
}

void tw_emulator_mbarrier_arrive(unsigned long long* barrier, unsigned expected_bytes) {
  Fields f = load(barrier);
  f.bytes += static_cast<int>(expected_bytes);
  --f.missing;
  store(barrier, f);
}

void tw_emulator_mbarrier_wait(unsigned long long* barrier, unsigned parity) {
  if (load(barrier).parity != (parity & 1)) return;
  Thread& thread = self();
  thread.phase_word = barrier;
  thread.parity = parity & 1;
  thread.state = ThreadState::kAtPhase;
  wait();
}

unsigned tw_emulator_cluster_rank() { return self().block->rank; }
unsigned tw_emulator_cluster_size() { return static_cast<unsigned>(current_cluster().size()); }

void* tw_emulator_cluster_pointer(const void* shared, unsigned rank) {
  if (rank >= current_cluster().size()) fail(kIllegalAddress, "addressed a block outside of the cluster");
  const Block& other = *current_cluster()[rank];
  if (other.done == other.threads.size()) fail(kIllegalAddress, "reached for shared memory of a block that has ended");
  const auto* p = static_cast<const char*>(shared);
  const char* begin = self().block->dynamic_shared;
  if (p < begin || p >= begin + current_launch().shared_bytes) {
    if (rank == self().block->rank && is_shared(p, 1)) return const_cast<char*>(p);
    fail(kNotSupported, "reached for a static shared array of another block: the emulator needs dynamic shared memory");
  }
  return other.dynamic_shared + (p - begin);
}

void tw_emulator_cluster_arrive() {
  unsigned long long& word = cluster_word();
  const Launch& launch = current_launch();
  const uint64_t all = uint64_t{launch.block.x} * launch.block.y * launch.block.z * current_cluster().size();
  self().cluster_parity = static_cast<unsigned>(word >> 63);
  if ((++word & ~kPhaseBit) == all) word = (word & kPhaseBit) ^ kPhaseBit;
}

void tw_emulator_cluster_wait() {
  Thread& thread = self();
  if (cluster_word() >> 63 != thread.cluster_parity) return;
  thread.phase_word = &cluster_word();
  thread.parity = thread.cluster_parity;
  thread.state = ThreadState::kAtPhase;
  wait();
}

}  // extern "C"
