// Whether short runs fork to other threads: found out in the first of them. A fork gains little there, and multiplies
// the time wherever the other core is taken; a run that leaves a core to the event loop is answered sooner. So a fork
// has to save a third.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>

namespace tw {

class ForkChoice {
 public:
  using Duration = std::chrono::nanoseconds;

  // `asked`: else all runs fork. `price`: what a forked run loses beside its own time.
  ForkChoice(bool asked, Duration price) : price_(price), settled_(!asked) {}

  // For the next run, or as it stands now: any thread may ask.
  bool forks() const { return forks_.load(std::memory_order_relaxed); }

  void took(Duration spent) {
    // Other shapes, perhaps: all begins anew.
    if (settled_ && !forks() && spent > 2 * kShort) {
      runs_ = 0;
      best_[0] = best_[1] = kNone;
      settled_ = false;
      forks_.store(true, std::memory_order_relaxed);
      return;
    }
    if (settled_) return;
    const bool forked = forks();
    if (runs_ > 0) best_[forked] = std::min(best_[forked], spent);
    ++runs_;
    const bool long_run = runs_ == kWarmUp && best_[1] > kShort;
    settled_ = long_run || runs_ == kWarmUp + kTrials;
    // In turn, so that both see the same machine.
    const bool next = settled_ ? long_run || best_[1] + best_[1] / 2 + price_ < best_[0] : runs_ < kWarmUp || !forked;
    forks_.store(next, std::memory_order_relaxed);
  }

 private:
  static constexpr int kWarmUp = 6, kTrials = 12;
  static constexpr Duration kShort = std::chrono::microseconds(150), kNone = std::chrono::hours(1);

  const Duration price_;
  int runs_ = 0;
  Duration best_[2] = {kNone, kNone};  // alone, forked
  std::atomic<bool> forks_{true};
  bool settled_;
};

}  // namespace tw
