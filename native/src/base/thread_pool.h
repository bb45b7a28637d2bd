// Data-parallel loops over a fixed set of worker threads. The calling thread takes part, so a loop
// makes progress even when every worker is busy, and loops of several callers may run at once.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace tw {

class ThreadPool {
 public:
  // `threads` counts the caller: 1 runs everything inline.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls fn(task, lane) once for every task in [0, tasks), dynamically balanced. `lane` in [0, threads())
  // is unique among the tasks running at one moment within this call: index per-thread scratch by it.
  // The first exception is rethrown here after all tasks have ended.
  void parallel_for(int64_t tasks, const std::function<void(int64_t task, int lane)>& fn);

  // Splits [0, count) into ranges of at least `grain` elements; fn(begin, end, lane).
  void parallel_ranges(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end, int lane)>& fn);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tw
