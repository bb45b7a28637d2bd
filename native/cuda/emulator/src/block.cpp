#include "block.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include "fault.h"
#include "results.h"
#include "shared_memory.h"

tw_emulator_thread* tw_emulator_self;

namespace tw_emulator {
namespace {

// Everything about the launch that runs. One at a time: the driver holds a lock.
struct Engine {
  const Launch* launch = nullptr;
  std::vector<std::unique_ptr<Block>> blocks;  // of the largest cluster so far
  std::vector<std::unique_ptr<SharedMemory>> shared;
  std::vector<Block*> cluster;
  Block* owner_of_static = nullptr;
  StackPool stacks;
  Continuation scheduler = nullptr;
  char* free_stack = nullptr;  // of a fiber that has ended
  int failure = 0;
  std::deque<std::function<void()>> deferred;
  unsigned long long cluster_word = 0;
  uint64_t random = 0;
};
Engine& engine = *new Engine;  // never destroyed: a kernel may run while the process ends

uint64_t next_random() {
  engine.random = engine.random * 6364136223846793005u + 1442695040888963407u;
  return engine.random >> 33;
}

// The next lane of a warp that has not started yet.
Thread* next_fresh(Thread& thread) {
  Thread* const first = &thread - thread.linear % 32;
  const size_t lanes = std::min<size_t>(32, thread.block->threads.size() - first->linear);
  for (size_t i = 0; i < lanes; ++i) {
    if (first[i].state == ThreadState::kFresh) return first + i;
  }
  return nullptr;
}

// One after the other, the threads of a warp run on one stack; one that waits keeps it, and the scheduler goes on.
void fiber_main(void* argument) {
  auto* thread = static_cast<Thread*>(argument);
  void* parameters[64];
  const Launch& launch = *engine.launch;
  for (size_t i = 0; i < launch.parameters.size(); ++i) parameters[i] = const_cast<char*>(launch.parameters[i].data());
  for (;;) {
    thread->state = ThreadState::kRunnable;
    tw_emulator_self = thread;
    launch.kernel->call(parameters);
    thread->state = ThreadState::kDone;
    ++thread->block->done;
    if (!thread->copies.empty()) finish_copies(*thread);
    if (!thread->stores.empty()) finish_stores(*thread, ~0u);
    Thread* next = next_fresh(*thread);
    if (!next) break;
    next->stack = std::exchange(thread->stack, nullptr);
    thread = next;
  }
  engine.free_stack = std::exchange(thread->stack, nullptr);
  switch_to(&thread->at, engine.scheduler);
  std::abort();
}

size_t static_bytes() {
  return static_cast<size_t>(engine.launch->module->static_shared_end - engine.launch->module->static_shared_begin);
}

// Static shared arrays have one place; the blocks of a cluster take turns in it.
void own_static_shared(Block& block) {
  if (engine.cluster.size() == 1 || engine.owner_of_static == &block) return;
  char* place = engine.launch->module->static_shared_begin;
  if (Block* owner = engine.owner_of_static) owner->static_shared.assign(place, place + static_bytes());
  std::copy(block.static_shared.begin(), block.static_shared.end(), place);
  engine.owner_of_static = &block;
}

bool is_ready(const Thread& thread, bool first_pass) {
  if (thread.state == ThreadState::kYielded) return first_pass;  // lets other warps run in between
  if (thread.state == ThreadState::kAtPhase) return (*thread.phase_word >> 63) != thread.parity;
  return thread.state == ThreadState::kFresh || thread.state == ThreadState::kRunnable;
}

void resume(Thread& thread) {
  if (thread.state == ThreadState::kFresh) {
    thread.stack = engine.stacks.take();
    thread.at = start_of(thread.stack, fiber_main, &thread);
  }
  thread.state = ThreadState::kRunnable;
  tw_emulator_self = &thread;
  switch_to(&engine.scheduler, thread.at);
  if (engine.free_stack) engine.stacks.give(std::exchange(engine.free_stack, nullptr));
}

// Runs a warp until all of its threads wait or are done. Whether any ran.
bool run_warp(Block& block, size_t warp) {
  const size_t begin = warp * 32, end = std::min(begin + 32, block.threads.size()), lanes = end - begin;
  bool any = false, progress = true;
  for (bool first = true; progress && !engine.failure; first = false) {
    progress = false;
    const size_t offset = engine.random ? next_random() % lanes : 0;
    for (size_t i = 0; i < lanes && !engine.failure; ++i) {
      Thread& thread = block.threads[begin + (i + offset) % lanes];
      if (!is_ready(thread, first)) continue;
      resume(thread);
      progress = any = true;
    }
  }
  return any;
}

void prepare(Block& block, uint3 index, unsigned rank) {
  const Launch& launch = *engine.launch;
  const size_t threads = size_t{launch.block.x} * launch.block.y * launch.block.z;
  block.index = index;
  block.rank = rank;
  block.done = 0;
  block.mbarriers.clear();
  block.threads.resize(threads);
  block.warps.resize((threads + 31) / 32);
  for (Barrier& barrier : block.barriers) barrier.expected = barrier.arrived = barrier.counted = 0, barrier.waiting.clear();
  for (size_t w = 0; w < block.warps.size(); ++w) {
    const size_t lanes = std::min<size_t>(32, threads - 32 * w);
    block.warps[w].lanes = lanes == 32 ? ~0u : (1u << lanes) - 1;
    block.warps[w].meetings.clear();
  }
  uint3 t{0, 0, 0};
  for (size_t i = 0; i < threads; ++i) {
    Thread& thread = block.threads[i];
    thread.thread_index = t;
    thread.block_index = index;
    thread.block_dim = launch.block;
    thread.grid_dim = launch.grid;
    thread.block = &block;
    thread.linear = static_cast<unsigned>(i);
    thread.state = ThreadState::kFresh;
    thread.copy_group = 0;
    thread.copies.clear();
    thread.store_group = thread.multiply_group = thread.cluster_parity = 0;
    thread.stores.clear();
    thread.multiplies.clear();
    if (++t.x == launch.block.x && (t.x = 0, ++t.y == launch.block.y)) t.y = 0, ++t.z;
  }
  block.dynamic_shared = engine.shared[rank]->prepare(launch.shared_bytes);
  block.static_shared.assign(static_bytes(), static_cast<char>(0xFF));
}

std::string place_of(const Thread& thread) {
  char text[160];
  std::snprintf(text, sizeof text, "block (%u, %u, %u) thread (%u, %u, %u)", thread.block_index.x, thread.block_index.y,
                thread.block_index.z, thread.thread_index.x, thread.thread_index.y, thread.thread_index.z);
  return text;
}

void say(const std::string& what) {
  std::fprintf(stderr, "tensorwright emulator: kernel '%s': %s\n", engine.launch->name.c_str(), what.c_str());
}

void report_deadlock() {
  for (Block* block : engine.cluster) {
    size_t barrier = 0, meeting = 0, phase = 0;
    const Thread* example = nullptr;
    for (const Thread& thread : block->threads) {
      barrier += thread.state == ThreadState::kAtBarrier;
      meeting += thread.state == ThreadState::kAtMeeting;
      phase += thread.state == ThreadState::kAtPhase;
      if (!example && thread.state != ThreadState::kDone) example = &thread;
    }
    if (!example) continue;
    std::string what = "deadlock at " + place_of(*example) + ": of " + std::to_string(block->threads.size()) +
                       " threads " + std::to_string(block->done) + " have ended";
    if (barrier) what += ", " + std::to_string(barrier) + " wait at a barrier";
    for (int id = 0; id < 24; ++id) {
      const Barrier& b = block->barriers[id];
      if (b.arrived) {
        what += " (" + std::to_string(id) + ": " + std::to_string(b.arrived) + " of " + std::to_string(b.expected) + ")";
      }
    }
    if (meeting) what += ", " + std::to_string(meeting) + " wait for other lanes of their warp";
    if (phase) what += ", " + std::to_string(phase) + " wait for an mbarrier's phase";
    say(what);
  }
  engine.failure = kLaunchFailed;
}

void run_deferred() {
  engine.deferred.front()();
  engine.deferred.pop_front();
}

void run_cluster() {
  size_t running = engine.cluster.size();
  while (running > 0 && !engine.failure) {
    bool progress = false;
    running = 0;
    for (Block* block : engine.cluster) {
      if (block->done == block->threads.size()) continue;
      own_static_shared(*block);
      const size_t warps = block->warps.size(), offset = engine.random ? next_random() % warps : 0;
      for (size_t w = 0; w < warps && !engine.failure; ++w) progress |= run_warp(*block, (w + offset) % warps);
      running += block->done != block->threads.size();
    }
    if (progress || running == 0 || engine.failure) continue;
    if (engine.deferred.empty()) report_deadlock();
    else run_deferred();
  }
  while (!engine.failure && !engine.deferred.empty()) run_deferred();
}

void run_blocks() {
  const Launch& launch = *engine.launch;
  const uint3 c = launch.cluster;
  const size_t size = size_t{c.x} * c.y * c.z;
  while (engine.blocks.size() < size) {
    engine.blocks.push_back(std::make_unique<Block>());
    engine.shared.push_back(std::make_unique<SharedMemory>());
  }
  engine.cluster.clear();
  for (size_t i = 0; i < size; ++i) engine.cluster.push_back(engine.blocks[i].get());
  for (unsigned z = 0; z < launch.grid.z; z += c.z) {
    for (unsigned y = 0; y < launch.grid.y; y += c.y) {
      for (unsigned x = 0; x < launch.grid.x; x += c.x) {
        unsigned rank = 0;
        for (unsigned k = 0; k < c.z; ++k) {
          for (unsigned j = 0; j < c.y; ++j) {
            for (unsigned i = 0; i < c.x; ++i, ++rank) prepare(*engine.cluster[rank], {x + i, y + j, z + k}, rank);
          }
        }
        engine.owner_of_static = nullptr;
        engine.cluster_word = 0;
        if (size == 1) std::memset(launch.module->static_shared_begin, 0xFF, static_bytes());
        run_cluster();
        for (size_t i = 0; i < size && !engine.failure; ++i) {
          if (engine.shared[i]->intact()) continue;
          say("wrote outside of dynamic shared memory");
          engine.failure = kIllegalAddress;
        }
        for (size_t i = 0; i < size && !engine.failure; ++i) {
          const Block& block = *engine.blocks[i];
          for (const auto& [barrier, arrivals] : block.mbarriers) {
            const auto* at = reinterpret_cast<const char*>(barrier);
            // Static arrays are the block's that ran last.
            const bool own = at >= block.dynamic_shared && at < block.dynamic_shared + launch.shared_bytes;
            if (engine.failure || !own || is_mbarrier(barrier, arrivals)) continue;
            say("used the memory of an mbarrier, which was not invalidated, for something else");
            engine.failure = kLaunchFailed;
          }
        }
        if (engine.failure) return;
      }
    }
  }
}

}  // namespace

int run(const Launch& launch) {
  engine.launch = &launch;
  engine.failure = 0;
  const char* seed = std::getenv("TENSORWRIGHT_EMULATOR_SEED");
  engine.random = seed ? std::strtoull(seed, nullptr, 10) : 0;
  FaultHandler faults;
  if (const int signal = sigsetjmp(faults.back(), 0)) {
    say(std::string(describe_signal(signal)) + " at " + place_of(self()));
    engine.failure = signal_result(signal);
  } else {
    run_blocks();
  }
  if (engine.failure) {
    for (Block* block : engine.cluster) {
      for (Thread& thread : block->threads) {
        if (thread.stack) engine.stacks.give(thread.stack);
        thread.stack = nullptr;
      }
    }
  }
  engine.deferred.clear();
  engine.launch = nullptr;
  return engine.failure;
}

Thread& self() { return *static_cast<Thread*>(tw_emulator_self); }
const Launch& current_launch() { return *engine.launch; }
const std::vector<Block*>& current_cluster() { return engine.cluster; }

void defer(std::function<void()> operation) { engine.deferred.push_back(std::move(operation)); }
unsigned long long& cluster_word() { return engine.cluster_word; }

void wait() { switch_to(&self().at, engine.scheduler); }

void fail(int code, const std::string& reason) {
  say(reason + " at " + place_of(self()));
  engine.failure = code;
  self().state = ThreadState::kAtBarrier;
  wait();
  std::abort();
}

// Shared addresses: the static arrays from 1024, the dynamic memory behind them, and the block's rank in the cluster
// from bit 24 on. Zero stays invalid.
namespace {
constexpr unsigned kStaticBase = 1024, kRankShift = 24;
unsigned dynamic_base() {
  constexpr unsigned kAlignment = SharedMemory::kAlignment;
  return kStaticBase + (static_cast<unsigned>(static_bytes()) + kAlignment - 1) / kAlignment * kAlignment;
}
}  // namespace

bool is_shared(const void* address, size_t bytes) {
  const auto* p = static_cast<const char*>(address);
  const auto inside = [&](const char* begin, size_t size) { return p >= begin && p + bytes <= begin + size; };
  return inside(self().block->dynamic_shared, engine.launch->shared_bytes) ||
         inside(engine.launch->module->static_shared_begin, static_bytes());
}

unsigned shared_address_of(const void* pointer) {
  const auto* p = static_cast<const char*>(pointer);
  for (const Block* block : engine.cluster) {
    if (p >= block->dynamic_shared && p <= block->dynamic_shared + engine.launch->shared_bytes) {
      const unsigned rank = block == self().block ? 0 : (block->rank + 1) << kRankShift;
      return dynamic_base() + static_cast<unsigned>(p - block->dynamic_shared) + rank;
    }
  }
  if (is_shared(p, 0)) return kStaticBase + static_cast<unsigned>(p - engine.launch->module->static_shared_begin);
  fail(kIllegalAddress, "took the shared address of memory that is not shared");
}

char* shared_pointer(unsigned address) {
  const unsigned rank = address >> kRankShift, offset = address & ((1u << kRankShift) - 1);
  Block* block = self().block;
  if (rank) {
    if (rank > engine.cluster.size()) fail(kIllegalAddress, "addressed a block outside of the cluster");
    block = engine.cluster[rank - 1];
  }
  if (offset >= dynamic_base() && offset <= dynamic_base() + engine.launch->shared_bytes) {
    return block->dynamic_shared + (offset - dynamic_base());
  }
  if (offset < kStaticBase || offset > kStaticBase + static_bytes()) {
    fail(kIllegalAddress, "used a shared address outside of shared memory");
  }
  if (block != self().block) fail(kIllegalAddress, "reached for a static shared array of another block: use dynamic memory");
  return engine.launch->module->static_shared_begin + (offset - kStaticBase);
}

}  // namespace tw_emulator

using namespace tw_emulator;

extern "C" void tw_emulator_fail(const char* reason) { fail(kLaunchFailed, reason); }
extern "C" void tw_emulator_yield() {
  self().state = ThreadState::kYielded;
  wait();
}
extern "C" void* tw_emulator_dynamic_shared() { return self().block->dynamic_shared; }
extern "C" unsigned tw_emulator_shared_address(const void* pointer) { return shared_address_of(pointer); }
