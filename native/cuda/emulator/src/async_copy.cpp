// cp.async: a copy happens as late as it may, and its target is poisoned until then, so that a missing wait shows.
#include <algorithm>
#include <cstring>

#include "block.h"
#include "results.h"

using namespace tw_emulator;

namespace {

void finish(const AsyncCopy& copy) {
  std::memcpy(copy.shared, copy.global, static_cast<size_t>(copy.valid_bytes));
  std::memset(copy.shared + copy.valid_bytes, 0, static_cast<size_t>(copy.bytes - copy.valid_bytes));
}

}  // namespace

void tw_emulator::finish_copies(Thread& thread) {
  for (const AsyncCopy& copy : thread.copies) finish(copy);
  thread.copies.clear();
}

extern "C" void tw_emulator_cp_async(void* shared, const void* global, int bytes, int valid_bytes) {
  Thread& thread = self();
  const auto misaligned = [&](const void* p) { return reinterpret_cast<uintptr_t>(p) % static_cast<size_t>(bytes) != 0; };
  if (valid_bytes < 0 || valid_bytes > bytes) fail(kLaunchFailed, "cp.async of more bytes than it copies");
  if (misaligned(shared) || (valid_bytes && misaligned(global))) fail(kMisalignedAddress, "cp.async is misaligned");
  if (!is_shared(shared, static_cast<size_t>(bytes))) fail(kIllegalAddress, "cp.async writes outside of shared memory");
  std::memset(shared, 0xFF, static_cast<size_t>(bytes));
  thread.copies.push_back({static_cast<char*>(shared), static_cast<const char*>(global), bytes, valid_bytes, thread.copy_group});
}

extern "C" void tw_emulator_cp_async_commit() { ++self().copy_group; }

extern "C" void tw_emulator_cp_async_wait(int pending_groups) {
  Thread& thread = self();
  const unsigned done_before = thread.copy_group - std::min(thread.copy_group, static_cast<unsigned>(pending_groups));
  const auto rest = std::find_if(thread.copies.begin(), thread.copies.end(),
                                 [&](const AsyncCopy& copy) { return copy.group >= done_before; });
  std::for_each(thread.copies.begin(), rest, finish);
  thread.copies.erase(thread.copies.begin(), rest);
}
