// NVIDIA devices: what they are, their primary contexts, memory and streams.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "executor/device.h"

namespace tw::cuda {

struct DeviceProperties {
  int ordinal = 0;
  std::string name;
  std::string architecture;  // what kernels are compiled for: 'sm_90a'
  int capability = 0;        // major * 10 + minor
  int multiprocessors = 0;
  size_t memory_bytes = 0, l2_bytes = 0, shared_bytes = 0;
};

std::vector<DeviceProperties> list_devices();

class CudaDevice : public Device {
 public:
  // The device of this ordinal; one object for all its users.
  static std::shared_ptr<CudaDevice> open(int ordinal);

  int index() const override { return properties_.ordinal; }
  std::byte* allocate(size_t bytes) override;
  void release(std::byte* data, size_t bytes) noexcept override;
  DeviceMemoryState memory() override;
  size_t cache_bytes() const override { return properties_.l2_bytes; }
  void upload(std::byte* to, const std::byte* from, size_t bytes) override;
  void download(std::byte* to, const std::byte* from, size_t bytes) override;
  std::unique_ptr<DeviceQueue> make_queue() override;
  void enter() override { make_current(); }
  uint64_t releases() const override { return releases_.load(std::memory_order_relaxed); }

  const DeviceProperties& properties() const { return properties_; }
  // For the calling thread. Throws kDevice once the device is lost.
  void make_current() {
    if (lost_.load(std::memory_order_acquire)) fail_lost();
    check(driver().cuCtxSetCurrent(context_), "cuCtxSetCurrent");
  }
  // What `call` gives. It is called once more where it threw for want of memory, after what is only kept to save time has
  // been released: it must have done nothing by then. A library that finds too little may say no more than that it does
  // not start, which is kBackendUnavailable.
  template <typename Call>
  auto with_memory(const Call& call) {
    try {
      return call();
    } catch (const Error& e) {
      const bool memory = e.code == tw::Code::kOutOfMemory || e.code == tw::Code::kBackendUnavailable;
      if (!memory || !make_room()) throw;
    }
    return call();
  }
  // Throws what a failed call says. Some failures (a kernel's invalid access) are the device's last word in this
  // process: every later call is then refused with the first reason.
  void check(Result result, const char* call, const std::string& detail = {}) {
    if (result != kSuccess) fail(result, call, detail);
  }

 private:
  friend class DeviceScope;
  explicit CudaDevice(DeviceProperties properties);
  [[noreturn]] void fail(Result result, const char* call, const std::string& detail);
  [[noreturn]] void fail_lost();
  bool make_room();

  DeviceProperties properties_;
  ContextHandle context_ = nullptr;
  std::atomic<size_t> allocated_{0};
  std::atomic<uint64_t> releases_{0};
  std::atomic<bool> lost_{false};
  std::mutex reason_mutex_;
  std::string reason_;
};

// While it lives, the device is current on this thread, and then the one that was so before: for what is released on any
// thread, amid the work of another device. False for a device that has nothing left to release.
class DeviceScope {
 public:
  explicit DeviceScope(const CudaDevice& device) noexcept
      : entered_(driver().cuCtxPushCurrent_v2(device.context_) == kSuccess) {}
  ~DeviceScope() {
    ContextHandle own = nullptr;
    if (entered_) driver().cuCtxPopCurrent_v2(&own);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  explicit operator bool() const { return entered_; }

 private:
  const bool entered_;
};

}  // namespace tw::cuda
