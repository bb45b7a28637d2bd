#include "bindings/cuda.h"

#include <algorithm>

#include "bindings/environment.h"
#include "bindings/reader.h"
#include "bindings/tensors.h"
#include "cuda/compiler.h"
#include "cuda/convolution_graph.h"
#include "cuda/cublaslt.h"
#include "cuda/cudnn.h"
#include "cuda/device.h"

namespace tw {
namespace {

Napi::Object describe(Napi::Env env, const cuda::DeviceProperties& device) {
  Napi::Object o = Napi::Object::New(env);
  const auto number = [&](double value) { return Napi::Number::New(env, value); };
  o.Set("ordinal", number(device.ordinal));
  o.Set("name", device.name);
  o.Set("architecture", device.architecture);
  o.Set("capability", number(device.capability));
  o.Set("multiprocessors", number(device.multiprocessors));
  o.Set("memoryBytes", number(static_cast<double>(device.memory_bytes)));
  o.Set("l2Bytes", number(static_cast<double>(device.l2_bytes)));
  o.Set("sharedBytes", number(static_cast<double>(device.shared_bytes)));
  return o;
}

Napi::Value status(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object o = Napi::Object::New(env);
  try {
    const auto devices = cuda::list_devices();
    if (devices.empty()) throw Error(Code::kBackendUnavailable, "the NVIDIA driver finds no device");
    cuda::CudaDevice::open(0);
    Napi::Array list = Napi::Array::New(env);
    for (const auto& device : devices) list.Set(list.Length(), describe(env, device));
    o.Set("available", Napi::Boolean::New(env, true));
    const int version = cuda::driver().version;
    o.Set("driver", std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10));
    o.Set("devices", list);
  } catch (const Error& e) {
    o.Set("available", Napi::Boolean::New(env, false));
    o.Set("reason", e.what());
    return o;
  }
  try {
    o.Set("compiler", cuda::compiler_version());
  } catch (const Error& e) {
    o.Set("compilerReason", e.what());
  }
  return o;
}

// Opens the driver, the first device, the compiler and libraries, each of which takes long the first time. What is
// missing is for the status to say.
class OpenJob : public Job {
 public:
  OpenJob(bool cublaslt, bool cudnn) : cublaslt_(cublaslt), cudnn_(cudnn) {}
  void execute() override {
    const auto attempt = [](const auto& open) {
      try {
        open();
      } catch (const Error&) {
      }
    };
    attempt([] { cuda::CudaDevice::open(0); });
    attempt([] { cuda::compiler_version(); });
    if (cublaslt_) attempt([] { cuda::cublaslt::library(); });
    if (cudnn_) attempt([] { cuda::cudnn::library(); });
  }
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }

 private:
  const bool cublaslt_, cudnn_;
};

Napi::Value open(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env()).submit(std::make_unique<OpenJob>(info[0].ToBoolean(), info[1].ToBoolean()));
}

// The version of what `library` opens, or why it opens nothing.
template <auto library>
Napi::Value library_status(const Napi::CallbackInfo& info) {
  Napi::Object o = Napi::Object::New(info.Env());
  try {
    o.Set("version", library().version);
  } catch (const Error& e) {
    o.Set("reason", e.what());
  }
  return o;
}

cuda::cudnn::Convolution read_convolution(const Reader& from) {
  const auto place = [](const Reader& r) {
    return cuda::cudnn::Place{dtype_from_name(r.field("dtype").string()), r.field("dims").integers(),
                              r.field("strides").integers(), r.field("alignment").integer()};
  };
  cuda::cudnn::Convolution c;
  c.x = place(from.field("image"));
  c.w = place(from.field("filters"));
  c.y = place(from.field("result"));
  c.sides = from.field("sides").list(place);
  c.scalars = from.field("scalars").list([](const Reader& r) { return static_cast<float>(r.number()); });
  c.pads_before = from.field("padsBefore").integers();
  c.pads_after = from.field("padsAfter").integers();
  c.strides = from.field("strides").integers();
  c.dilations = from.field("dilations").integers();
  c.maps = from.field("maps").list([](const Reader& r) {
    bool binary = false;
    cuda::cudnn::Map map{cuda::cudnn::mode_of(r.field("name").string(), binary), r.field("left").integer(), {}};
    if (binary) map.right = r.field("right").integer();
    return map;
  });
  c.tf32 = from.field("tf32").value().ToBoolean();
  return c;
}

constexpr int kDevice = 0;

class ConfigurationsJob : public Job {
 public:
  ConfigurationsJob(cuda::cudnn::Convolution convolution, size_t most)
      : convolution_(std::move(convolution)), most_(most) {}
  void execute() override {
    found_ = cuda::cudnn::configurations(*cuda::CudaDevice::open(kDevice), convolution_, most_);
  }
  Napi::Value result(Napi::Env env) override {
    Napi::Array list = Napi::Array::New(env);
    for (const auto& found : found_) {
      Napi::Object o = Napi::Object::New(env);
      o.Set("engine", Napi::Number::New(env, static_cast<double>(found.engine)));
      Napi::Array knobs = Napi::Array::New(env);
      for (const int64_t knob : found.knobs)
        knobs.Set(knobs.Length(), Napi::Number::New(env, static_cast<double>(knob)));
      o.Set("knobs", knobs);
      list.Set(list.Length(), o);
    }
    return list;
  }

 private:
  cuda::cudnn::Convolution convolution_;
  size_t most_;
  std::vector<cuda::cudnn::Configuration> found_;
};

Napi::Value cudnn_configurations(const Napi::CallbackInfo& info) {
  auto convolution = read_convolution(Reader(info[0], "convolution", Code::kInvalidArgument));
  const int64_t most = Reader(info[1], "most", Code::kInvalidArgument).integer();
  return Environment::of(info.Env())
      .submit(std::make_unique<ConfigurationsJob>(std::move(convolution),
                                                  static_cast<size_t>(std::max<int64_t>(0, most))));
}

class ConvolutionPlanJob : public Job {
 public:
  ConvolutionPlanJob(cuda::cudnn::Convolution convolution, cuda::cudnn::Configuration configuration)
      : convolution_(std::move(convolution)), configuration_(std::move(configuration)) {}
  void execute() override {
    const auto device = cuda::CudaDevice::open(kDevice);
    bytes_ = cuda::cudnn::ConvolutionPlan::make(device, convolution_, configuration_)->workspace_bytes();
  }
  Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(bytes_)); }

 private:
  cuda::cudnn::Convolution convolution_;
  cuda::cudnn::Configuration configuration_;
  size_t bytes_ = 0;
};

Napi::Value cudnn_plan(const Napi::CallbackInfo& info) {
  auto convolution = read_convolution(Reader(info[0], "convolution", Code::kInvalidArgument));
  const Reader from(info[1], "configuration", Code::kInvalidArgument);
  cuda::cudnn::Configuration configuration{from.field("engine").integer(), from.field("knobs").integers()};
  return Environment::of(info.Env())
      .submit(std::make_unique<ConvolutionPlanJob>(std::move(convolution), std::move(configuration)));
}

class CompileJob : public Job {
 public:
  CompileJob(std::string text, std::vector<std::string> options)
      : text_(std::move(text)), options_(std::move(options)) {}
  void execute() override { code_ = cuda::compile(text_, options_); }
  Napi::Value result(Napi::Env env) override { return make_bytes(env, std::move(code_.block), code_.bytes); }

 private:
  std::string text_;
  std::vector<std::string> options_;
  cuda::Code code_;
};

Napi::Value compile(const Napi::CallbackInfo& info) {
  const Reader text(info[0], "text", Code::kInvalidArgument), options(info[1], "options", Code::kInvalidArgument);
  auto job = std::make_unique<CompileJob>(text.string(), options.list([](const Reader& r) { return r.string(); }));
  return Environment::of(info.Env()).submit(std::move(job));
}

}  // namespace

void export_cuda(Napi::Env env, Napi::Object exports) {
  exports.Set("cudaOpen", Napi::Function::New(env, guarded<open>, "cudaOpen"));
  exports.Set("cudaStatus", Napi::Function::New(env, guarded<status>, "cudaStatus"));
  exports.Set("cudaCublasLtStatus", Napi::Function::New(env, guarded<library_status<cuda::cublaslt::library>>, "cudaCublasLtStatus"));
  exports.Set("cudaCudnnStatus", Napi::Function::New(env, guarded<library_status<cuda::cudnn::library>>, "cudaCudnnStatus"));
  exports.Set("cudaCudnnConfigurations",
              Napi::Function::New(env, guarded<cudnn_configurations>, "cudaCudnnConfigurations"));
  exports.Set("cudaCudnnPlan", Napi::Function::New(env, guarded<cudnn_plan>, "cudaCudnnPlan"));
  exports.Set("cudaCompile", Napi::Function::New(env, guarded<compile>, "cudaCompile"));
}

}  // namespace tw
