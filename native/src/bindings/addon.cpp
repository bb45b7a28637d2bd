// The addon's entry: what the loader asks before anything else, and the functions that need no object.
#include <napi.h>

#include "base/isa.h"
#include "base/kernel.h"
#include "bindings/cuda.h"
#include "bindings/environment.h"
#include "bindings/measure.h"
#include "bindings/objects.h"
#include "bindings/packing.h"
#include "bindings/plugins.h"
#include "bindings/tensors.h"
#include "executor/digest.h"
#include "executor/threads.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace tw {
namespace {

// Raised with every change of what these functions take or mean. The loader wants exactly its own number.
constexpr int kInterfaceNumber = 2;

// Threads of ours outlive the worker that loaded the addon first, and with it Node.js's hold on the library.
void stay_loaded() {
#if defined(_WIN32)
  HMODULE self;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     reinterpret_cast<LPCWSTR>(&stay_loaded), &self);
#else
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&stay_loaded), &self)) dlopen(self.dli_fname, RTLD_LAZY | RTLD_NODELETE);
#endif
}

Napi::String text(Napi::Env env, std::string_view s) { return Napi::String::New(env, s.data(), s.size()); }

Napi::Value isa_name(const Napi::CallbackInfo& info) { return text(info.Env(), name(isa())); }

Napi::Value limit(const Napi::CallbackInfo& info) {
  const Reader r(info[0], "name", Code::kInvalidArgument);
  const std::string wanted = r.string();
  for (const Isa level : {Isa::kV2, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    if (name(level) != wanted) continue;
    limit_isa(level);
    return info.Env().Undefined();
  }
  r.fail(std::string(name(Isa::kV2)).append(", avx2, avx512 or amx"));
}

Napi::Value features(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  const auto add = [&](std::string_view feature) { list.Set(list.Length(), text(info.Env(), feature)); };
  for (const Isa level : {Isa::kV2, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    if (level <= isa()) add(name(level));
  if (has_vnni()) add("avx512_vnni");
  if (has_avx512_bf16()) add("avx512_bf16");
  return list;
}

Napi::Value list_kernels(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const std::string& kernel : kernel_names()) list.Set(list.Length(), text(info.Env(), kernel));
  return list;
}

Napi::Value threads(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), default_threads()); }

class DigestJob : public Job {
 public:
  explicit DigestJob(std::span<const std::byte> content) : content_(content) {}
  void execute() override { digest_ = digest(content_, *shared_pool(0)); }
  Napi::Value result(Napi::Env env) override { return text(env, digest_); }

 private:
  std::span<const std::byte> content_;
  std::string digest_;
};

Napi::Value start_digest(const Napi::CallbackInfo& info) {
  auto job = std::make_unique<DigestJob>(bytes_of({info[0], "bytes", Code::kInvalidArgument}));
  job->pin(info[0].As<Napi::Object>());
  return Environment::of(info.Env()).submit(std::move(job));
}

Napi::Value set_error_factory(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) throw Error(Code::kInvalidArgument, "expected a function");
  Environment::of(info.Env()).error_factory = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  stay_loaded();
  env.SetInstanceData(new Environment(env));
  exports.Set("interfaceNumber", Napi::Number::New(env, kInterfaceNumber));
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("setErrorFactory", guarded<set_error_factory>);
  add("isa", guarded<isa_name>);
  add("limitIsa", guarded<limit>);
  add("features", guarded<features>);
  add("kernelNames", guarded<list_kernels>);
  add("defaultThreads", guarded<threads>);
  add("digest", guarded<start_digest>);
  export_objects(env, exports);
  export_measure(env, exports);
  export_packing(env, exports);
  export_cuda(env, exports);
  export_device_memory(env, exports);
  export_plugins(env, exports);
  return exports;
}

}  // namespace
}  // namespace tw

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return tw::init(env, exports); }
NODE_API_MODULE(tensorwright, Init)
