// Loops are published in a few fixed slots. A worker joins a slot by one compare-and-swap on its state word, whose
// generation makes a stale join fail, so a slot needs no lock and no reference count beyond the state itself.
#include "base/thread_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#endif
#if TW_X86
#include <immintrin.h>
#endif

namespace tw {
namespace {

// How long an idle worker, or a caller whose last tasks run elsewhere, stays awake before it sleeps in the kernel:
// longer than the gap between two steps of an inference, and than that between two inferences in a row. Waking a
// sleeper costs some 50 µs of latency, spinning costs a core: after a while it is yielded to whoever needs it, such as
// the thread that waits for the inference's result. Where others take it for long, who sleeps is served sooner than who
// is awake.
constexpr auto kSpin = std::chrono::microseconds(200), kSpinAlone = std::chrono::microseconds(15);
constexpr auto kTaken = std::chrono::microseconds(50);
constexpr int kSlots = 16;

void pause() {
#if TW_X86
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  __asm__ volatile("yield");
#else
  std::this_thread::yield();
#endif
}

// Sleeps while `word` holds `expected`; may return early.
void sleep_on(std::atomic<uint32_t>& word, uint32_t expected) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
#else
  word.wait(expected);
#endif
}

void wake(std::atomic<uint32_t>& word, int64_t sleepers) {
#if defined(__linux__)
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE,
          static_cast<int>(std::min<int64_t>(sleepers, INT_MAX)), nullptr, nullptr, 0);
#else
  if (sleepers == 1)
    word.notify_one();
  else
    word.notify_all();
#endif
}

// Spins until `ready()` or the time is up; tells whether it became ready.
template <typename Ready>
bool spin_until(Ready ready) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      pause();
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - begin > kSpin) return ready();
    if (now - begin < kSpinAlone) continue;
    std::this_thread::yield();
    if (std::chrono::steady_clock::now() - now > kTaken) return ready();
  }
}

// State word of a slot, from the low end: workers inside (16 bits), lanes given out (14), caller asleep (1), open (1),
// generation (32).
constexpr uint64_t kOneInside = 1, kInsideMask = 0xFFFF;
constexpr uint64_t kOneLane = uint64_t{1} << 16, kLaneMask = uint64_t{0x3FFF} << 16;
constexpr uint64_t kAsleep = uint64_t{1} << 30, kOpen = uint64_t{1} << 31, kOneGeneration = uint64_t{1} << 32;
constexpr int kMaxThreads = 0x3FFF;

struct alignas(128) Slot {
  std::atomic<uint64_t> state{0};
  std::atomic<bool> taken{false};
  std::atomic<uint32_t> finished{0};  // the caller sleeps on this
  const std::function<void(int64_t, int)>* fn = nullptr;
  std::atomic<int64_t> tasks{0};
  std::exception_ptr error;
  std::atomic<bool> failed{false};
  alignas(128) std::atomic<int64_t> next{0};

  void run_tasks(int lane) {
    const int64_t count = tasks.load(std::memory_order_relaxed);
    for (;;) {
      const int64_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task >= count) return;
      try {
        (*fn)(task, lane);
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);  // tasks not begun are given up
      }
    }
  }
};

}  // namespace

struct ThreadPool::Impl {
  explicit Impl(int count) : threads(std::clamp(count, 1, kMaxThreads)) {
    try {
      for (int i = 1; i < threads; ++i) workers.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~Impl() { stop(); }

  void stop() {
    stopping.store(true);
    signal.fetch_add(1);
    wake(signal, kMaxThreads);
    for (auto& worker : workers) worker.join();
    workers.clear();
  }

  void work() {
    for (;;) {
      // Read before `stopping`, which is set before `signal` is bumped: whoever sleeps on the bumped value has seen it.
      const uint32_t seen = signal.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_relaxed)) return;
      bool worked = false;
      for (auto& slot : slots) worked |= join(slot);
      if (worked) continue;
      if (spin_until([&] { return signal.load(std::memory_order_acquire) != seen; })) continue;
      // Publishing bumps `signal` and then reads `sleepers`; sleeping bumps `sleepers` and then compares `signal`.
      sleepers.fetch_add(1);
      sleep_on(signal, seen);
      sleepers.fetch_sub(1);
    }
  }

  bool join(Slot& slot) {
    uint64_t state = slot.state.load(std::memory_order_acquire);
    for (;;) {
      if (!(state & kOpen)) return false;
      // Values of another generation may be read here; then the exchange below fails.
      if (slot.next.load(std::memory_order_relaxed) >= slot.tasks.load(std::memory_order_relaxed)) return false;
      if (slot.state.compare_exchange_weak(state, state + kOneInside + kOneLane, std::memory_order_acq_rel)) break;
    }
    slot.run_tasks(static_cast<int>((state & kLaneMask) / kOneLane));
    const uint64_t before = slot.state.fetch_sub(kOneInside, std::memory_order_acq_rel);
    if ((before & kInsideMask) == 1 && (before & kAsleep)) {
      slot.finished.fetch_add(1);
      wake(slot.finished, 1);
    }
    return true;
  }

  Slot* take_slot() {
    for (auto& slot : slots)
      if (!slot.taken.load(std::memory_order_relaxed) && !slot.taken.exchange(true, std::memory_order_acquire))
        return &slot;
    return nullptr;
  }

  void run(Slot& slot, int64_t tasks, const std::function<void(int64_t, int)>& fn) {
    slot.fn = &fn;
    slot.tasks.store(tasks, std::memory_order_relaxed);
    slot.next.store(0, std::memory_order_relaxed);
    slot.failed.store(false, std::memory_order_relaxed);
    const uint64_t generation = (slot.state.load(std::memory_order_relaxed) & ~(kOneGeneration - 1)) + kOneGeneration;
    slot.state.store(generation | kOpen | kOneLane, std::memory_order_release);  // lane 0 is the caller's
    signal.fetch_add(1);
    if (const int asleep = sleepers.load(); asleep > 0) wake(signal, std::min<int64_t>(tasks - 1, asleep));

    slot.run_tasks(0);

    uint64_t state = slot.state.fetch_and(~kOpen, std::memory_order_acq_rel);
    const auto empty = [&] { return (slot.state.load(std::memory_order_acquire) & kInsideMask) == 0; };
    if ((state & kInsideMask) != 0 && !spin_until(empty)) {
      for (;;) {
        const uint32_t finished = slot.finished.load();
        if ((slot.state.fetch_or(kAsleep, std::memory_order_acq_rel) & kInsideMask) == 0) break;
        sleep_on(slot.finished, finished);
      }
    }
    std::exception_ptr error = std::move(slot.error);
    slot.error = nullptr;
    slot.taken.store(false, std::memory_order_release);
    if (error) std::rethrow_exception(error);
  }

  const int threads;
  std::array<Slot, kSlots> slots;
  alignas(128) std::atomic<uint32_t> signal{0};
  alignas(128) std::atomic<int> sleepers{0};
  std::atomic<bool> stopping{false};
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>(threads)) {}
ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return impl_->threads; }

void ThreadPool::parallel_for(int64_t tasks, const std::function<void(int64_t, int)>& fn) {
  Slot* slot = tasks > 1 && impl_->threads > 1 ? impl_->take_slot() : nullptr;
  if (slot) return impl_->run(*slot, tasks, fn);
  for (int64_t task = 0; task < tasks; ++task) fn(task, 0);
}

void ThreadPool::parallel_ranges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& fn) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  // Four ranges a thread: enough for balance when a core is slow or late.
  const int64_t ranges = std::min(count / grain, int64_t{4} * impl_->threads);
  if (ranges <= 1 || impl_->threads == 1) return fn(0, count, 0);
  const int64_t size = count / ranges, larger = count % ranges;
  parallel_for(ranges, [&](int64_t i, int lane) {
    const int64_t begin = i * size + std::min(i, larger);
    fn(begin, begin + size + (i < larger ? 1 : 0), lane);
  });
}

}  // namespace tw
