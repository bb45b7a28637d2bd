#include "cuda/module.h"

#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tw::cuda {
namespace {

constexpr int kMaxDynamicSharedBytes = 8;
constexpr size_t kSharedBytesWithoutAsking = 48 * 1024;

struct Cached {
  std::vector<std::byte> code;
  std::weak_ptr<Module> module;
};

}  // namespace

std::shared_ptr<Module> Module::load(std::shared_ptr<CudaDevice> device, std::span<const std::byte> code) {
  static std::mutex mutex;
  static std::unordered_multimap<size_t, Cached> cache;
  const std::string_view text(reinterpret_cast<const char*>(code.data()), code.size());
  const size_t hash = std::hash<std::string_view>{}(text) ^ static_cast<size_t>(device->properties().ordinal);
  std::lock_guard lock(mutex);
  for (auto [it, end] = cache.equal_range(hash); it != end;) {
    if (auto module = it->second.module.lock()) {
      if (module->device_ == device && std::equal(code.begin(), code.end(), it->second.code.begin(), it->second.code.end()))
        return module;
      ++it;
    } else {
      it = cache.erase(it);
    }
  }
  std::shared_ptr<Module> module(new Module(std::move(device), code));
  cache.emplace(hash, Cached{{code.begin(), code.end()}, module});
  return module;
}

Module::Module(std::shared_ptr<CudaDevice> device, std::span<const std::byte> code) : device_(std::move(device)) {
  device_->make_current();
  if (const Result result = driver().cuModuleLoadData(&handle_, code.data()); result != kSuccess)
    driver().fail(result, "cuModuleLoadData", "a kernel of the plan on " + device_->properties().name);
}

Module::~Module() { driver().cuModuleUnload(handle_); }

FunctionHandle Module::function(const std::string& name, size_t shared_bytes) const {
  FunctionHandle function = nullptr;
  if (const Result result = driver().cuModuleGetFunction(&function, handle_, name.c_str()); result != kSuccess)
    driver().fail(result, "cuModuleGetFunction", name);
  if (shared_bytes > device_->properties().shared_bytes)
    throw Error(Code::kInvalidPlan, name + " wants " + std::to_string(shared_bytes) + " bytes of shared memory, " +
                                        device_->properties().name + " has " +
                                        std::to_string(device_->properties().shared_bytes));
  if (shared_bytes > kSharedBytesWithoutAsking)
    driver().check(driver().cuFuncSetAttribute(function, kMaxDynamicSharedBytes, static_cast<int>(shared_bytes)),
                   "cuFuncSetAttribute");
  return function;
}

}  // namespace tw::cuda
