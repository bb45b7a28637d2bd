// Teardown, in an order that works on every supported Node.js: the dispatcher is made first and the cleanup hook after
// it, so that the hook runs before the dispatcher closes. The hook raises every job's flag, waits for those that run,
// and only then lets go. Nothing is joined in the instance data's destructor, which may run inside the dispatcher's
// lock.
#include "bindings/environment.h"

namespace tw {

struct Environment::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false, polled = false;
  size_t running = 0;
  std::vector<Job*> finished;
  std::atomic<int64_t> unsettled{0};  // finished.size(), a little later, for who polls
  napi_threadsafe_function dispatcher = nullptr;
};

Environment::Environment(Napi::Env env) : env_(env), shared_(std::make_shared<Shared>()) {
  const auto name = Napi::String::New(env, "tensorwright");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, on_wake,
                                      &shared_->dispatcher) != napi_ok)
    throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, shared_->dispatcher);
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Environment*>(self)->close(); }, this);
}

Environment::~Environment() = default;

void Environment::close() {
  std::unique_lock lock(shared_->mutex);
  shared_->closed = true;
  for (auto& [key, job] : jobs_) job->cancelled->store(true);
  shared_->changed.wait(lock, [this] { return shared_->running == 0; });
  shared_->finished.clear();
  lock.unlock();
  jobs_.clear();
  error_factory.Reset();
  napi_release_threadsafe_function(shared_->dispatcher, napi_tsfn_abort);
}

Napi::Promise Environment::submit(std::unique_ptr<Job> owned, JobQueue* queue) {
  Job* job = owned.get();
  job->deferred_ = std::make_unique<Napi::Promise::Deferred>(env_);
  const Napi::Promise promise = job->deferred_->Promise();
  // Whether the job still exists when its turn comes: not once the environment has closed.
  const auto begun = std::make_shared<bool>(false);
  const auto work = [shared = shared_, job, begun](const std::exception_ptr& refused) {
    {
      std::lock_guard lock(shared->mutex);
      if (shared->closed) return;
      ++shared->running;
      *begun = true;
    }
    try {
      if (refused) std::rethrow_exception(refused);
      if (job->cancelled->load()) throw Error(Code::kAborted, "the run was cancelled");
      job->execute();
    } catch (...) {
      job->failed_ = true;
      job->failure_ = Failure::current();
    }
  };
  const auto settled = [shared = shared_, job, begun] {
    if (!*begun) return;
    bool wake;
    {
      std::lock_guard lock(shared->mutex);
      shared->finished.push_back(job);
      wake = !shared->closed && !shared->polled;
    }
    // Without the lock, which whoever is waiting takes at once.
    shared->unsettled.fetch_add(1, std::memory_order_release);
    if (wake) napi_call_threadsafe_function(shared->dispatcher, nullptr, napi_tsfn_nonblocking);
    // Until here close() waits.
    std::lock_guard lock(shared->mutex);
    --shared->running;
    if (shared->closed) shared->changed.notify_all();
  };
  jobs_.emplace(job, std::move(owned));
  try {
    if (queue) {
      queue->post(work, settled);
    } else {
      run_detached([work, settled](const std::exception_ptr& refused) {
        work(refused);
        settled();
      });
    }
  } catch (...) {
    jobs_.erase(job);
    throw;
  }
  // Waiting for a result keeps the process alive; an idle addon does not.
  if (jobs_.size() == 1) napi_ref_threadsafe_function(env_, shared_->dispatcher);
  return promise;
}

void Environment::poll(bool again) {
  if (again != polled_) {
    const std::lock_guard lock(shared_->mutex);
    shared_->polled = polled_ = again;
  } else if (shared_->unsettled.load(std::memory_order_acquire) <= 0) {
    return;
  }
  settle_finished(env_);
}

void Environment::on_wake(napi_env env, napi_value, void* context, void*) {
  if (env) static_cast<Environment*>(context)->settle_finished(env);
}

void Environment::settle_finished(Napi::Env env) {
  std::vector<Job*> finished;
  {
    std::lock_guard lock(shared_->mutex);
    if (shared_->closed) return;
    finished.swap(shared_->finished);
  }
  shared_->unsettled.fetch_sub(static_cast<int64_t>(finished.size()), std::memory_order_relaxed);
  for (Job* key : finished) {
    auto node = jobs_.extract(key);
    Napi::HandleScope scope(env);
    try {
      settle(env, *node.mapped());
    } catch (const Napi::Error&) {
      // JavaScript cannot run any more: the environment is ending.
    }
  }
  if (!finished.empty() && jobs_.empty()) napi_unref_threadsafe_function(env, shared_->dispatcher);
}

void Environment::settle(Napi::Env env, Job& job) {
  if (!job.failed_) {
    try {
      job.deferred_->Resolve(job.result(env));
      return;
    } catch (const Napi::Error& e) {
      job.deferred_->Reject(e.Value());
      return;
    } catch (...) {
      job.failure_ = Failure::current();
    }
  }
  job.deferred_->Reject(make_error(env, job.failure_));
}

}  // namespace tw
