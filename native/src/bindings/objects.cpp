// Weights, programs and contexts, and the jobs that run on them.
#include "bindings/objects.h"

#include "bindings/arguments.h"
#include "bindings/environment.h"
#include "bindings/handle.h"
#include "bindings/plan.h"
#include "bindings/tensors.h"
#include "executor/layout.h"

namespace tw {
namespace {

int64_t iterations(const Reader& r) {
  if (r.absent()) return kDefaultIterations;
  const int64_t n = r.integer();
  if (n < 0) r.fail("a number of iterations");
  return n;
}

// For what must not happen while a run is under way.
std::shared_ptr<Context> idle_context(const Napi::Value& value) {
  auto context = handle<Context>(value);
  if (context->queue().busy()) throw Error(Code::kInvalidArgument, "a run of this context is still in progress");
  return context;
}

class RunJob : public Job {
 public:
  RunJob(const Napi::CallbackInfo& info)
      : context_(handle<Context>(info[0])), inputs_(read_tensors(argument(info, 1, "inputs"))) {
    for (const auto& memory : inputs_.memories) check_device(context_->program(), *memory);
    outputs_ = read_output_slots(argument(info, 2, "outputs"), context_->program().outputs().size(), inputs_.data);
    cancelled = token(info[3]);
    max_iterations_ = iterations(argument(info, 4, "maxIterations"));
    given_ = info[2];
  }
  // The run leaves this scope: what it reads and writes must stay.
  void pin_all() {
    pin(inputs_.data);
    if (!given_.IsObject()) return;
    kept_given_ = Napi::Persistent(given_.As<Napi::Object>());
    given_ = {};
  }
  void execute() override { context_->run(inputs_.tensors, outputs_, *cancelled, max_iterations_); }
  Napi::Value result(Napi::Env env) override {
    return make_tensors(env, outputs_, kept_given_.IsEmpty() ? given_ : Napi::Value(kept_given_.Value()));
  }
  Context& context() { return *context_; }

 private:
  std::shared_ptr<Context> context_;
  BoundTensors inputs_;
  std::vector<OutputSlot> outputs_;
  int64_t max_iterations_ = 0;
  Napi::Value given_;
  Napi::ObjectReference kept_given_;
};

class SegmentJob : public Job {
 public:
  SegmentJob(std::shared_ptr<Context> context, size_t segment, int64_t max_iterations)
      : context_(std::move(context)), segment_(segment), max_iterations_(max_iterations) {}
  void execute() override { context_->run_segment(segment_, *cancelled, max_iterations_); }
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::shared_ptr<Context> context_;
  size_t segment_;
  int64_t max_iterations_;
};

Napi::Value map_weights(const Napi::CallbackInfo& info) {
  const Reader offset = argument(info, 1, "offset"), bytes = argument(info, 2, "bytes");
  if (offset.integer() < 0) offset.fail("a position in the file");
  if (bytes.integer() < 0) bytes.fail("a number of bytes");
  return make_handle(info.Env(),
                     Weights::map(argument(info, 0, "path").string(), static_cast<uint64_t>(offset.integer()),
                                  static_cast<uint64_t>(bytes.integer())));
}

Napi::Value copy_weights(const Napi::CallbackInfo& info) {
  return make_handle(info.Env(), Weights::copy(bytes_of(argument(info, 0, "weights"))));
}

// What a program is made of.
struct ProgramRequest {
  explicit ProgramRequest(const Napi::CallbackInfo& info)
      : description(read_program({info[0], "", Code::kInvalidPlan})),
        weights(info[1].IsNull() ? nullptr : handle<const Weights>(info[1])) {
    const int64_t threads_given = argument(info, 2, "threads").integer();
    if (threads_given < 0 || threads_given > INT32_MAX) argument(info, 2, "threads").fail("a number of threads");
    threads = static_cast<int>(threads_given);
    const Reader index = argument(info, 3, "device");
    const int64_t device_given = index.absent() ? 0 : index.integer();
    if (device_given < 0 || device_given > INT32_MAX) index.fail("the index of a device");
    device = static_cast<int>(device_given);
  }
  std::shared_ptr<LoadedProgram> load() && {
    auto program = Program::create(std::move(description), std::move(weights), device);
    return std::make_shared<LoadedProgram>(LoadedProgram{std::move(program), shared_pool(threads)});
  }

  ProgramDescription description;
  std::shared_ptr<const Weights> weights;
  int threads = 0, device = 0;
};

Napi::Value create_program(const Napi::CallbackInfo& info) {
  return make_handle(info.Env(), ProgramRequest(info).load());
}

class LoadJob : public Job {
 public:
  explicit LoadJob(ProgramRequest request) : request_(std::move(request)) {}
  void execute() override { loaded_ = std::move(request_).load(); }
  Napi::Value result(Napi::Env env) override { return make_handle(env, std::move(loaded_)); }

 private:
  ProgramRequest request_;
  std::shared_ptr<LoadedProgram> loaded_;
};

Napi::Value load_program(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env()).submit(std::make_unique<LoadJob>(ProgramRequest(info)));
}

Napi::Value create_context(const Napi::CallbackInfo& info) {
  const auto loaded = handle<LoadedProgram>(info[0]);
  return make_handle(info.Env(), std::make_shared<Context>(loaded->program, loaded->pool,
                                                         FrameOptions{.poison = info[1].ToBoolean(),
                                                                      .recordings = info[2].ToBoolean(),
                                                                      .guards = info[3].ToBoolean()}));
}

Napi::Value close_handle(const Napi::CallbackInfo& info) {
  if (info[0].IsExternal()) info[0].As<Napi::External<HandleBase>>().Data()->object.reset();
  return info.Env().Undefined();
}

Napi::Value run(const Napi::CallbackInfo& info) {
  auto job = std::make_unique<RunJob>(info);
  job->pin_all();
  JobQueue& queue = job->context().queue();
  return Environment::of(info.Env()).submit(std::move(job), &queue);
}

Napi::Value run_sync(const Napi::CallbackInfo& info) {
  RunJob job(info);
  job.context().queue().wait();
  job.execute();
  return job.result(info.Env());
}

Napi::Value begin(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  auto inputs = read_tensors(argument(info, 1, "inputs"));
  context->begin(std::move(inputs.tensors), std::move(inputs.copies), std::move(inputs.memories));
  return inputs.data;
}

Napi::Value run_segment(const Napi::CallbackInfo& info) {
  const auto context = handle<Context>(info[0]);
  const Reader segment = argument(info, 1, "segment");
  if (segment.integer() < 0) segment.fail("a segment's index");
  auto job = std::make_unique<SegmentJob>(context, static_cast<size_t>(segment.integer()),
                                          iterations(argument(info, 3, "maxIterations")));
  job->cancelled = token(info[2]);
  if (info[4].IsObject()) job->pin(info[4].As<Napi::Object>());
  return Environment::of(info.Env()).submit(std::move(job), &context->queue());
}

Napi::Value read(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  const Tensor from = context->view(read_operand(argument(info, 1, "operand")));
  OutputSlot slot;
  slot.tensor = from;
  slot.tensor.set_row_major();
  slot.tensor.data = slot.block.reserve(dense_bytes(from));
  copy_elements(from, slot.tensor);
  return make_tensor(info.Env(), slot, info.Env().Undefined());
}

Napi::Value write(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  context->write(read_operand(argument(info, 1, "operand")), read_tensor(argument(info, 2, "tensor")));
  return info.Env().Undefined();
}

Napi::Value finish(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  auto outputs = context->finish();
  return make_tensors(info.Env(), outputs, info.Env().Undefined());
}

Napi::Value abandon(const Napi::CallbackInfo& info) {
  idle_context(info[0])->abandon();
  return info.Env().Undefined();
}

Napi::Value set_profiling(const Napi::CallbackInfo& info) {
  idle_context(info[0])->frame().set_profiling(info[1].ToBoolean());
  return info.Env().Undefined();
}

Napi::Value profile(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  const auto steps = context->frame().profile();
  Napi::Array list = Napi::Array::New(info.Env(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    Napi::Object step = Napi::Object::New(info.Env());
    step.Set("calls", Napi::Number::New(info.Env(), static_cast<double>(steps[i].calls)));
    step.Set("nanoseconds", Napi::Number::New(info.Env(), static_cast<double>(steps[i].nanoseconds)));
    step.Set("waits", Napi::Number::New(info.Env(), static_cast<double>(steps[i].waits)));
    step.Set("copiedBytes", Napi::Number::New(info.Env(), static_cast<double>(steps[i].copied)));
    list.Set(static_cast<uint32_t>(i), step);
  }
  return list;
}

Napi::Value symbols(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  const auto values = context->frame().symbols();
  Napi::Array list = Napi::Array::New(info.Env());
  for (size_t i = 0; i < values.size(); ++i)
    list.Set(static_cast<uint32_t>(i),
             values[i] == kUnbound ? info.Env().Null()
                                   : Napi::Value(Napi::Number::New(info.Env(), static_cast<double>(values[i]))));
  return list;
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  const MemoryUse use = context->frame().memory();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("arenaBytes", Napi::Number::New(info.Env(), static_cast<double>(use.arena)));
  object.Set("heapBytes", Napi::Number::New(info.Env(), static_cast<double>(use.heap)));
  object.Set("workspaceBytes", Napi::Number::New(info.Env(), static_cast<double>(use.workspace)));
  object.Set("deviceBytes", Napi::Number::New(info.Env(), static_cast<double>(use.device)));
  object.Set("stagingBytes", Napi::Number::New(info.Env(), static_cast<double>(use.staging)));
  object.Set("graphs", Napi::Number::New(info.Env(), static_cast<double>(use.recordings)));
  return object;
}

Napi::Value device_work(const Napi::CallbackInfo& info) {
  const auto context = idle_context(info[0]);
  const auto& queue = context->frame().queue();
  if (!queue) return info.Env().Undefined();
  const QueueCounts& counts = queue->counts();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("waits", Napi::Number::New(info.Env(), static_cast<double>(counts.waits)));
  object.Set("launches", Napi::Number::New(info.Env(), static_cast<double>(counts.launches)));
  object.Set("graphLaunches", Napi::Number::New(info.Env(), static_cast<double>(counts.plays)));
  object.Set("copiedBytes", Napi::Number::New(info.Env(), static_cast<double>(counts.copied)));
  return object;
}

Napi::Value device_constant_bytes(const Napi::CallbackInfo& info) {
  const size_t bytes = handle<LoadedProgram>(info[0])->program->device_constant_bytes();
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

Napi::Value leaves_core(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), handle<Context>(info[0])->leaves_core());
}

Napi::Value poll(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).poll(info[0].ToBoolean());
  return info.Env().Undefined();
}

Napi::Value create_token(const Napi::CallbackInfo& info) {
  return make_handle(info.Env(), std::make_shared<Flag>(false));
}

Napi::Value cancel(const Napi::CallbackInfo& info) {
  handle<Flag>(info[0])->store(true);
  return info.Env().Undefined();
}

}  // namespace

void export_objects(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("mapWeights", guarded<map_weights>);
  add("copyWeights", guarded<copy_weights>);
  add("createProgram", guarded<create_program>);
  add("loadProgram", guarded<load_program>);
  add("createContext", guarded<create_context>);
  add("close", guarded<close_handle>);
  add("run", guarded<run>);
  add("runSync", guarded<run_sync>);
  add("begin", guarded<begin>);
  add("runSegment", guarded<run_segment>);
  add("read", guarded<read>);
  add("write", guarded<write>);
  add("finish", guarded<finish>);
  add("abandon", guarded<abandon>);
  add("setProfiling", guarded<set_profiling>);
  add("profile", guarded<profile>);
  add("symbols", guarded<symbols>);
  add("memory", guarded<memory>);
  add("deviceWork", guarded<device_work>);
  add("deviceConstantBytes", guarded<device_constant_bytes>);
  add("leavesCore", guarded<leaves_core>);
  add("poll", guarded<poll>);
  add("createToken", guarded<create_token>);
  add("cancel", guarded<cancel>);
}

}  // namespace tw
