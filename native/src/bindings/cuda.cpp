#include "bindings/cuda.h"

#include "bindings/environment.h"
#include "bindings/reader.h"
#include "bindings/tensors.h"
#include "cuda/compiler.h"
#include "cuda/cublaslt.h"
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

Napi::Value cublaslt_status(const Napi::CallbackInfo& info) {
  Napi::Object o = Napi::Object::New(info.Env());
  try {
    o.Set("version", cuda::cublaslt::library().version);
  } catch (const Error& e) {
    o.Set("reason", e.what());
  }
  return o;
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
  exports.Set("cudaStatus", Napi::Function::New(env, guarded<status>, "cudaStatus"));
  exports.Set("cudaCublasLtStatus", Napi::Function::New(env, guarded<cublaslt_status>, "cudaCublasLtStatus"));
  exports.Set("cudaCompile", Napi::Function::New(env, guarded<compile>, "cudaCompile"));
}

}  // namespace tw
