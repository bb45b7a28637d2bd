// The process's threads: data-parallel pools, one for each size asked for, and the threads that run jobs.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
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

// Called once: with null on a thread of the process's own, or at once with why there is none to run it. Does not throw.
using QueuedJob = std::function<void(const std::exception_ptr& refused)>;

// Jobs one after the other, on a thread of the process's own: never on a thread of Node.js.
class JobQueue : public std::enable_shared_from_this<JobQueue> {
 public:
  // `settled` is called when the job has ended or was refused and, if it was the last, the queue is no longer busy. It
  // does not throw. Where no thread can start, all jobs that wait are refused.
  void post(QueuedJob job, std::function<void()> settled);
  // Returns once all jobs posted so far have ended.
  void wait();
  bool busy() const;

 private:
  void work(const std::exception_ptr& refused);

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<std::pair<QueuedJob, std::function<void()>>> jobs_;
  bool active_ = false;
};

// Runs a job that belongs to no queue.
void run_detached(QueuedJob job);

}  // namespace tw
