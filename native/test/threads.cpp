// Queues of jobs: in order, and answered where no thread can be started.
#include "executor/threads.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "support/check.h"

namespace {

// What happens when a thread is to be started: nothing, or `meanwhile` and a failure.
std::atomic<bool> fails{false};
std::function<void()> meanwhile;

// What became of jobs, in order.
struct Log {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> lines;

  void add(std::string line) {
    const std::lock_guard lock(mutex);
    lines.push_back(std::move(line));
    changed.notify_all();
  }
  bool wait_for(size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(20), [&] { return lines.size() >= count; });
  }
  tw::QueuedJob job(const std::string& name) {
    return [this, name](const std::exception_ptr& refused) {
      try {
        if (refused) std::rethrow_exception(refused);
        add(name + " ran");
      } catch (const tw::Error& e) {
        add(name + " refused: " + e.what());
      }
    };
  }
  std::function<void()> settled(const std::string& name) {
    return [this, name] { add(name + " settled"); };
  }
};

}  // namespace

#ifdef __GLIBC__
// Stands before the C library's own, for all that this program loads.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* with) noexcept {
  if (fails.exchange(false)) {
    if (meanwhile) meanwhile();
    return EAGAIN;
  }
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, start, with);
}

// In one test: the first thread of the process can fail but once.
TEST(all_jobs_are_answered_where_no_thread_starts) {
  const auto queue = std::make_shared<tw::JobQueue>();
  Log log;
  // Posted by others while the first one's thread fails to start.
  meanwhile = [&] {
    queue->post(log.job("second"), log.settled("second"));
    queue->post(log.job("third"), log.settled("third"));
  };
  fails = true;
  queue->post(log.job("first"), log.settled("first"));
  const std::string why = " refused: cannot start a thread";
  CHECK_EQ(log.lines.size(), size_t{6});
  const std::vector<std::string> expected = {"first" + why,    "first settled", "second" + why,
                                             "second settled", "third" + why,   "third settled"};
  CHECK(log.lines == expected);
  CHECK(!queue->busy());
  queue->wait();

  log.lines.clear();
  meanwhile = nullptr;
  fails = true;
  tw::run_detached(log.job("detached"));
  CHECK_EQ(log.lines.size(), size_t{1});
  CHECK_EQ(log.lines[0], "detached" + why);

  // Threads can be started again.
  log.lines.clear();
  for (const char* name : {"a", "b", "c"}) queue->post(log.job(name), log.settled(name));
  CHECK(log.wait_for(6));
  const std::vector<std::string> ran = {"a ran", "a settled", "b ran", "b settled", "c ran", "c settled"};
  CHECK(log.lines == ran);

  // One thread there is takes what no further one can be started for.
  log.lines.clear();
  std::atomic<bool> go{false};
  queue->post([&](const std::exception_ptr&) { while (!go) std::this_thread::yield(); }, log.settled("long"));
  fails = true;
  tw::run_detached(log.job("later"));
  go = true;
  CHECK(log.wait_for(2));
}
#endif
