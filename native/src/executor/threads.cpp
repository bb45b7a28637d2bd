#include "executor/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "base/error.h"

namespace tw {
namespace {

// Threads that run jobs, started as needed. Never destroyed: at process exit they sleep, or end with the process.
class JobThreads {
 public:
  static JobThreads& instance() {
    static auto* threads = new JobThreads;
    return *threads;
  }

  void post(std::function<void()> job) {
    bool asleep;
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
      if (idle_ < jobs_.size() && threads_ < kMostThreads) {
        try {
          std::thread([this] { work(); }).detach();
          ++threads_;
        } catch (...) {
          // Those that are there take it when they can.
          if (threads_ == 0) {
            jobs_.pop_back();
            throw Error(Code::kOutOfMemory, "cannot start a thread");
          }
        }
      }
      asleep = !watched_ || jobs_.size() > 1;
    }
    // Once the lock is free: whoever watches takes it at once.
    waiting_.fetch_add(1, std::memory_order_release);
    if (asleep) wake_.notify_one();
  }

 private:
  static constexpr size_t kMostThreads = 64;

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      if (jobs_.empty() && !watched_) {
        watched_ = true;
        lock.unlock();
        watch();
        lock.lock();
        watched_ = false;
      }
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      --idle_;
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
  }

  // Runs often follow one another, and being woken takes as long as a small one of them: one idle thread stays awake
  // for a while, but lets others have its core. Where they take it, who sleeps is served sooner than who is awake.
  void watch() const {
    const auto begin = std::chrono::steady_clock::now();
    for (auto now = begin; now - begin < kWatch;) {
      for (int i = 0; i < kLooks; ++i)
        if (waiting_.load(std::memory_order_acquire) > 0) return;
      if (now - begin > kAlone) std::this_thread::yield();
      const auto before = std::exchange(now, std::chrono::steady_clock::now());
      if (now - before > kTaken) return;
    }
  }

  static constexpr auto kWatch = std::chrono::microseconds(100), kAlone = std::chrono::microseconds(15);
  static constexpr auto kTaken = std::chrono::microseconds(50);
  static constexpr int kLooks = 64;  // between two looks at the clock

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::atomic<int64_t> waiting_{0};  // jobs_.size(), a little later, for those that do not hold the lock
  bool watched_ = false;             // some thread is watching, and will see the first job
  size_t threads_ = 0, idle_ = 0;
};

}  // namespace

std::shared_ptr<ThreadPool> shared_pool(int threads) {
  constexpr int kMostThreads = 1024;
  static auto* mutex = new std::mutex;
  static auto* pools = new std::map<int, std::weak_ptr<ThreadPool>>;
  const int count = std::clamp(threads > 0 ? threads : default_threads(), 1, kMostThreads);
  std::lock_guard lock(*mutex);
  auto& slot = (*pools)[count];
  auto pool = slot.lock();
  if (!pool) slot = pool = std::make_shared<ThreadPool>(count);
  return pool;
}

void JobQueue::post(QueuedJob job, std::function<void()> settled) {
  {
    std::lock_guard lock(mutex_);
    jobs_.emplace_back(std::move(job), std::move(settled));
    if (std::exchange(active_, true)) return;
  }
  // Without the lock, which the thread that takes over needs at once.
  try {
    JobThreads::instance().post([self = shared_from_this()] { self->work(nullptr); });
  } catch (...) {
    // Others may have posted in the meantime, and wait for an answer.
    work(std::current_exception());
  }
}

void JobQueue::work(const std::exception_ptr& refused) {
  for (bool more = true; more;) {
    std::unique_lock lock(mutex_);
    auto [job, settled] = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(refused);
    job = nullptr;
    lock.lock();
    more = !jobs_.empty();
    if (!more) {
      active_ = false;
      idle_.notify_all();
    }
    lock.unlock();
    settled();
  }
}

void JobQueue::wait() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return !active_; });
}

bool JobQueue::busy() const {
  std::lock_guard lock(mutex_);
  return active_;
}

void run_detached(QueuedJob job) {
  const auto shared = std::make_shared<QueuedJob>(std::move(job));
  try {
    JobThreads::instance().post([shared] { (*shared)(nullptr); });
  } catch (...) {
    (*shared)(std::current_exception());
  }
}

}  // namespace tw
