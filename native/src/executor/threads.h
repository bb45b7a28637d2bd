// The process's threads: data-parallel pools, one for each size asked for, and the threads that run jobs.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/thread_pool.h"

namespace tw {

// Physical cores this process may use, by its affinity mask and its container's quota; at least 1.
int default_threads();

// The pool of this size (0: default_threads()), made on first use and shared from then on.
std::shared_ptr<ThreadPool> shared_pool(int threads);

// Jobs one after the other, on a thread of the process's own: never on a thread of Node.js.
class JobQueue : public std::enable_shared_from_this<JobQueue> {
 public:
  // `settled` is called when the job has ended and, if it was the last, the queue is no longer busy. Neither throws.
  void post(std::function<void()> job, std::function<void()> settled);
  // Returns once all jobs posted so far have ended.
  void wait();
  bool busy() const;

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<std::pair<std::function<void()>, std::function<void()>>> jobs_;
  bool active_ = false;
};

// Runs a job that belongs to no queue.
void run_detached(std::function<void()> job);

}  // namespace tw
