#include "cuda/module.h"

#include <map>
#include <mutex>
#include <utility>

#include "executor/digest.h"

namespace tw::cuda {
namespace {

constexpr int kMaxDynamicSharedBytes = 8;
constexpr size_t kSharedBytesWithoutAsking = 48 * 1024;

}  // namespace

std::shared_ptr<Module> Module::load(std::shared_ptr<CudaDevice> device, std::span<const std::byte> code) {
  // By device and digest of the code: a process that builds many engines must not keep every kernel twice.
  static std::mutex mutex;
  // Never destroyed: threads go on while the process ends.
  static auto& cache = *new std::map<std::pair<int, std::string>, std::weak_ptr<Module>>;
  const std::pair<int, std::string> key{device->properties().ordinal, digest(code)};
  std::lock_guard lock(mutex);
  if (const auto it = cache.find(key); it != cache.end())
    if (auto module = it->second.lock()) return module;
  std::erase_if(cache, [](const auto& entry) { return entry.second.expired(); });
  std::shared_ptr<Module> module(new Module(std::move(device), code));
  cache[key] = module;
  return module;
}

Module::Module(std::shared_ptr<CudaDevice> device, std::span<const std::byte> code) : device_(std::move(device)) {
  device_->make_current();
  device_->with_memory([&] {
    device_->check(driver().cuModuleLoadData(&handle_, code.data()), "cuModuleLoadData",
                   "a kernel of the plan on " + device_->properties().name);
  });
}

Module::~Module() {
  if (const DeviceScope scope(*device_); scope) driver().cuModuleUnload(handle_);
}

FunctionHandle Module::function(const std::string& name, size_t shared_bytes) const {
  FunctionHandle function = nullptr;
  device_->make_current();
  device_->check(driver().cuModuleGetFunction(&function, handle_, name.c_str()), "cuModuleGetFunction", name);
  if (shared_bytes > device_->properties().shared_bytes)
    throw Error(Code::kInvalidPlan, name + " wants " + std::to_string(shared_bytes) + " bytes of shared memory, " +
                                        device_->properties().name + " has " +
                                        std::to_string(device_->properties().shared_bytes));
  if (shared_bytes > kSharedBytesWithoutAsking)
    device_->check(driver().cuFuncSetAttribute(function, kMaxDynamicSharedBytes, static_cast<int>(shared_bytes)),
                   "cuFuncSetAttribute", name);
  return function;
}

}  // namespace tw::cuda
