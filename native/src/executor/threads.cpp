#include "executor/threads.h"

#include <algorithm>
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
    {
      std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
      if (sleeping_ < jobs_.size() && threads_ < kMostThreads) {
        try {
          std::thread([this] { work(); }).detach();
          ++threads_;
        } catch (const std::system_error&) {
          if (threads_ == 0) {
            jobs_.pop_back();
            throw Error(Code::kOutOfMemory, "cannot start a thread");
          }
        }
      }
    }
    wake_.notify_one();
  }

 private:
  static constexpr size_t kMostThreads = 64;

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++sleeping_;
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      --sleeping_;
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  size_t threads_ = 0, sleeping_ = 0;
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

void JobQueue::post(std::function<void()> job, std::function<void()> settled) {
  std::lock_guard lock(mutex_);
  jobs_.emplace_back(std::move(job), std::move(settled));
  if (active_) return;
  try {
    JobThreads::instance().post([self = shared_from_this()] { self->work(); });
    active_ = true;
  } catch (...) {
    jobs_.pop_back();
    throw;
  }
}

void JobQueue::work() {
  for (bool more = true; more;) {
    std::unique_lock lock(mutex_);
    auto [job, settled] = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
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

void run_detached(std::function<void()> job) { JobThreads::instance().post(std::move(job)); }

}  // namespace tw
