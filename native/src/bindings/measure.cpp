// What programs take, and compute on random inputs.
#include "bindings/measure.h"

#include "bindings/arguments.h"
#include "bindings/environment.h"
#include "bindings/tensors.h"
#include "executor/trial.h"

namespace tw {
namespace {

Napi::Array make_list(Napi::Env env, const std::vector<double>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) array.Set(static_cast<uint32_t>(i), Napi::Number::New(env, values[i]));
  return array;
}

class TrialJob : public Job {
 public:
  TrialJob(std::shared_ptr<LoadedProgram> program, std::vector<std::vector<int64_t>> dims, TimingOptions options)
      : program_(std::move(program)), dims_(std::move(dims)), options_(options) {}
  void execute() override { trial_ = try_program(program_->program, dims_, program_->pool, options_, *cancelled); }
  Napi::Value result(Napi::Env env) override {
    Napi::Object o = Napi::Object::New(env);
    o.Set("nanoseconds", make_list(env, trial_.nanoseconds));
    o.Set("outputs", make_tensors(env, trial_.outputs, env.Undefined()));
    return o;
  }

 private:
  std::shared_ptr<LoadedProgram> program_;
  std::vector<std::vector<int64_t>> dims_;
  TimingOptions options_;
  Trial trial_;
};

class DeviceTimeJob : public Job {
 public:
  DeviceTimeJob(std::shared_ptr<Context> context, int repeats, int plays)
      : context_(std::move(context)), repeats_(repeats), plays_(plays) {}
  void execute() override {
    times_ = context_->frame().device_times(repeats_, plays_, {*cancelled, kDefaultIterations});
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Object o = Napi::Object::New(env);
    o.Set("device", make_list(env, times_.device));
    o.Set("enqueue", make_list(env, times_.enqueue));
    o.Set("complete", Napi::Boolean::New(env, times_.complete));
    return o;
  }

 private:
  std::shared_ptr<Context> context_;
  int repeats_, plays_;
  DeviceTimes times_;
};

Napi::Value device_times(const Napi::CallbackInfo& info) {
  const auto context = handle<Context>(info[0]);
  const auto count = [&](size_t i, const char* name) {
    const int64_t n = argument(info, i, name).integer();
    if (n < 1 || n > INT32_MAX) argument(info, i, name).fail("a positive number");
    return static_cast<int>(n);
  };
  auto job = std::make_unique<DeviceTimeJob>(context, count(1, "repeats"), count(2, "plays"));
  return Environment::of(info.Env()).submit(std::move(job), &context->queue());
}

Napi::Value try_out(const Napi::CallbackInfo& info) {
  auto dims = argument(info, 1, "inputsDims").list([](const Reader& r) { return r.integers(); });
  TimingOptions options;
  options.min_nanoseconds = argument(info, 2, "minNanoseconds").integer();
  options.max_runs = argument(info, 3, "maxRuns").integer();
  options.cold_constants = info[4].ToBoolean();
  options.outputs = info[5].ToBoolean();
  auto job = std::make_unique<TrialJob>(handle<LoadedProgram>(info[0]), std::move(dims), options);
  job->cancelled = token(info[6]);
  return Environment::of(info.Env()).submit(std::move(job));
}

}  // namespace

void export_measure(Napi::Env env, Napi::Object exports) {
  exports.Set("deviceTimes", Napi::Function::New(env, guarded<device_times>, "deviceTimes"));
  exports.Set("try", Napi::Function::New(env, guarded<try_out>, "try"));
}

}  // namespace tw
