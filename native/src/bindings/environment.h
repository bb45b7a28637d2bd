// What one JavaScript environment (the main thread, a worker) has of ours: its jobs, and the way their results go back.
#pragma once
#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "bindings/error.h"
#include "executor/threads.h"

namespace tw {

// Work off the JavaScript thread with a promise for its result. Made and destroyed on the JavaScript thread.
class Job {
 public:
  virtual ~Job() = default;
  virtual void execute() = 0;                     // on any thread; may throw
  virtual Napi::Value result(Napi::Env env) = 0;  // on the JavaScript thread, after execute() has returned

  // Keeps what JavaScript owns and execute() reads.
  void pin(Napi::Object object) { pinned_.push_back(Napi::Persistent(object)); }
  // Set by the user's token, or when the environment ends.
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);

 private:
  friend class Environment;
  std::vector<Napi::ObjectReference> pinned_;
  std::unique_ptr<Napi::Promise::Deferred> deferred_;
  bool failed_ = false;
  Failure failure_;
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  // Runs the job after those its queue has already, or at once without one.
  Napi::Promise submit(std::unique_ptr<Job> job, JobQueue* queue = nullptr);
  // Settles what has finished. Jobs that finish before the next call wake nobody if that is to come `again`, soon.
  void poll(bool again);
  Napi::FunctionReference error_factory;

 private:
  struct Shared;
  static void on_wake(napi_env env, napi_value, void* context, void*);
  void settle_finished(Napi::Env env);
  void settle(Napi::Env env, Job& job);
  void close();

  napi_env env_;
  bool polled_ = false;
  std::shared_ptr<Shared> shared_;
  std::unordered_map<Job*, std::unique_ptr<Job>> jobs_;
};

}  // namespace tw
