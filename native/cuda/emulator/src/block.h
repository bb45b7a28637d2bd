// Runs the blocks of a launch: threads are fibers that change places only where one waits for others.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../device/interface.h"
#include "fiber.h"

namespace tw_emulator {

using Combine = void (*)(void** arguments, unsigned mask);

// A copy that cp.async started and no wait has completed.
struct AsyncCopy {
  char* shared;
  const char* global;
  int bytes, valid_bytes;
  unsigned group;
};

// A box that a thread gave to TMA and that has not left shared memory.
struct BulkStore {
  std::function<void()> finish;
  unsigned group;
};

// A wgmma that no wait has completed.
struct WarpgroupMultiply {
  int kind, n;
  void* d;
  bool has_fragment, accumulate, transpose_a, transpose_b;
  unsigned fragment[4];
  uint64_t a, b;
  unsigned group;
};

enum class ThreadState : uint8_t { kFresh, kRunnable, kYielded, kAtBarrier, kAtMeeting, kAtPhase, kDone };

struct Block;

struct Thread : tw_emulator_thread {
  Continuation at = nullptr;
  char* stack = nullptr;
  Block* block = nullptr;
  unsigned linear = 0;  // within the block
  ThreadState state = ThreadState::kFresh;
  int counted = 0;    // what the last __syncthreads_count gave
  const unsigned long long* phase_word = nullptr;  // the mbarrier it waits for, until bit 63 differs from `parity`
  unsigned parity = 0;
  unsigned copy_group = 0;
  std::vector<AsyncCopy> copies;
  unsigned store_group = 0, multiply_group = 0, cluster_parity = 0;
  std::vector<BulkStore> stores;
  std::vector<WarpgroupMultiply> multiplies;
};

// Lanes that wait for each other in one instruction.
struct Meeting {
  unsigned mask = 0, arrived = 0;
  Combine combine = nullptr;
  void* arguments[32];
};

struct Warp {
  unsigned lanes = 0;  // those that exist
  std::vector<Meeting> meetings;
};

struct Barrier {
  int expected = 0, arrived = 0, counted = 0;
  std::vector<Thread*> waiting;
};

struct Block {
  uint3 index{};
  unsigned rank = 0;  // within its cluster
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  Barrier barriers[24];  // the named ones, and one for each warpgroup
  char* dynamic_shared = nullptr;
  std::vector<std::pair<const unsigned long long*, unsigned>> mbarriers;  // their arrivals
  std::vector<char> static_shared;  // while another block of the cluster has the arrays
  size_t done = 0;
};

struct Launch {
  std::string name;
  const tw_emulator_kernel* kernel = nullptr;
  const tw_emulator_module_info* module = nullptr;
  uint3 grid{}, block{}, cluster{1, 1, 1};
  unsigned shared_bytes = 0;
  std::vector<std::vector<char>> parameters;
};

// Runs a launch to its end. 0, or the CUresult of its failure, which stderr explains.
int run(const Launch& launch);

// For what threads call while they run.
Thread& self();
const Launch& current_launch();
const std::vector<Block*>& current_cluster();
void wait();  // until the scheduler finds the thread runnable again
[[noreturn]] void fail(int code, const std::string& reason);
// Whether an address lies in the shared memory of the calling thread's block.
bool is_shared(const void* address, size_t bytes);
unsigned shared_address_of(const void* pointer);
char* shared_pointer(unsigned address);  // the way back, for descriptors and cluster addresses

void finish_copies(Thread& thread);  // as if it waited for all
void finish_stores(Thread& thread, unsigned before_group);

// Counts the calling thread in at a barrier of its block; true if it is the last one, which others wait for.
bool arrive(int barrier, int threads, int predicate);
void wait_at_barrier(int barrier);

// Leaves an asynchronous operation for when no thread can go on without it. It must not fail.
void defer(std::function<void()> operation);
void complete_bytes(unsigned long long* barrier, unsigned bytes);
bool is_mbarrier(const unsigned long long* barrier, unsigned arrivals);  // whether it still is one
unsigned long long& cluster_word();  // bit 63: the parity of the cluster barrier's phase; below: arrivals

}  // namespace tw_emulator
