// Where lanes of a warp and threads of a block meet: exchange instructions and barriers.
#include <bit>

#include "block.h"
#include "results.h"

using namespace tw_emulator;

namespace {

Warp& own_warp(Thread& thread) { return thread.block->warps[thread.linear / 32]; }

void set_waiting(Thread& thread, ThreadState state) {
  thread.state = state;
  wait();
}

}  // namespace

extern "C" void tw_emulator_meet(unsigned mask, Combine combine, void* arguments) {
  Thread& thread = self();
  Warp& warp = own_warp(thread);
  const unsigned lane = thread.linear % 32;
  mask &= warp.lanes;
  if (!(mask >> lane & 1)) fail(kLaunchFailed, "a lane called a warp instruction whose mask does not name it");
  size_t at = 0;
  while (at < warp.meetings.size() && (warp.meetings[at].mask != mask || warp.meetings[at].combine != combine)) ++at;
  if (at == warp.meetings.size()) {
    warp.meetings.emplace_back();
    warp.meetings[at].mask = mask;
    warp.meetings[at].combine = combine;
  }
  Meeting& meeting = warp.meetings[at];
  meeting.arrived |= 1u << lane;
  meeting.arguments[lane] = arguments;
  if (meeting.arrived != mask) return set_waiting(thread, ThreadState::kAtMeeting);
  combine(meeting.arguments, mask);
  Thread* lanes = &thread - lane;
  for (unsigned rest = mask & ~(1u << lane); rest; rest &= rest - 1) {
    lanes[std::countr_zero(rest)].state = ThreadState::kRunnable;
  }
  warp.meetings[at] = warp.meetings.back();
  warp.meetings.pop_back();
}

extern "C" unsigned tw_emulator_active_mask() {
  Thread& thread = self();
  Thread* lanes = &thread - thread.linear % 32;
  unsigned active = 0;
  for (unsigned rest = own_warp(thread).lanes; rest; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    if (lanes[lane].state != ThreadState::kDone) active |= 1u << lane;
  }
  return active;
}

namespace {

struct Shuffle {
  unsigned value, result;
  int operand, width, mode;
};

void combine_shuffle(void** arguments, unsigned mask) {
  for (int lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    auto& own = *static_cast<Shuffle*>(arguments[lane]);
    const int first = lane & ~(own.width - 1), last = first + own.width - 1;
    int from = lane;
    if (own.mode == 0) from = first + (own.operand & (own.width - 1));
    if (own.mode == 1 && lane - own.operand >= first) from = lane - own.operand;
    if (own.mode == 2 && lane + own.operand <= last) from = lane + own.operand;
    if (own.mode == 3 && (lane ^ own.operand) <= last) from = lane ^ own.operand;
    // The value of a lane that does not take part is undefined: poison.
    own.result = mask >> from & 1 ? static_cast<Shuffle*>(arguments[from])->value : ~0u;
  }
}

struct Vote {
  unsigned long long value;
  unsigned result;
};

void combine_ballot(void** arguments, unsigned mask) {
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1 && static_cast<Vote*>(arguments[lane])->value) votes |= 1u << lane;
  }
  for (int lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1) static_cast<Vote*>(arguments[lane])->result = votes;
  }
}

void combine_match(void** arguments, unsigned mask) {
  for (int lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    auto& own = *static_cast<Vote*>(arguments[lane]);
    own.result = 0;
    for (int other = 0; other < 32; ++other) {
      if (mask >> other & 1 && static_cast<Vote*>(arguments[other])->value == own.value) own.result |= 1u << other;
    }
  }
}

}  // namespace

extern "C" unsigned tw_emulator_shuffle(unsigned mask, unsigned value, int operand, int width, int mode) {
  Shuffle shuffle{value, 0, operand, width, mode};
  tw_emulator_meet(mask, combine_shuffle, &shuffle);
  return shuffle.result;
}

extern "C" unsigned tw_emulator_ballot(unsigned mask, int predicate) {
  Vote vote{predicate != 0, 0};
  tw_emulator_meet(mask, combine_ballot, &vote);
  return vote.result;
}

extern "C" unsigned tw_emulator_match_any(unsigned mask, unsigned long long value) {
  Vote vote{value, 0};
  tw_emulator_meet(mask, combine_match, &vote);
  return vote.result;
}

// Counts the calling thread in; true if it was the last.
bool tw_emulator::arrive(int id, int threads, int predicate) {
  Thread& thread = self();
  if (threads <= 0 || threads > static_cast<int>(thread.block->threads.size())) {
    fail(kLaunchFailed, "used a barrier for more threads than the block has");
  }
  Barrier& barrier = thread.block->barriers[id];
  if (barrier.arrived == 0) barrier.expected = threads;
  if (barrier.expected != threads) fail(kLaunchFailed, "threads disagree on a barrier's number of threads");
  barrier.counted += predicate != 0;
  if (++barrier.arrived < threads) return false;
  for (Thread* other : barrier.waiting) {
    other->counted = barrier.counted;
    other->state = ThreadState::kRunnable;
  }
  thread.counted = barrier.counted;
  barrier.waiting.clear();
  barrier.arrived = barrier.counted = 0;
  return true;
}

void tw_emulator::wait_at_barrier(int id) {
  Thread& thread = self();
  thread.block->barriers[id].waiting.push_back(&thread);
  set_waiting(thread, ThreadState::kAtBarrier);
}

namespace {
void check_named(int id) {
  if (id < 0 || id > 15) fail(kLaunchFailed, "used a barrier that does not exist");
}
}  // namespace

extern "C" void tw_emulator_barrier_sync(int id, int threads) {
  check_named(id);
  if (!arrive(id, threads, 0)) wait_at_barrier(id);
}
extern "C" void tw_emulator_barrier_arrive(int id, int threads) {
  check_named(id);
  arrive(id, threads, 0);
}
extern "C" int tw_emulator_barrier_count(int predicate) {
  if (!arrive(0, static_cast<int>(self().block->threads.size()), predicate)) wait_at_barrier(0);
  return self().counted;
}
