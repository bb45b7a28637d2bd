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
  void upload(std::byte* to, const std::byte* from, size_t bytes) override;
  void download(std::byte* to, const std::byte* from, size_t bytes) override;
  std::unique_ptr<DeviceQueue> make_queue() override;

  const DeviceProperties& properties() const { return properties_; }
  // For the calling thread. Throws kDevice once the device is lost.
  void make_current() {
    if (lost_.load(std::memory_order_acquire)) fail_lost();
    check(driver().cuCtxSetCurrent(context_), "cuCtxSetCurrent");
  }
  // The same where what follows releases something: a lost device has nothing left to release.
  bool try_current() const noexcept { return driver().cuCtxSetCurrent(context_) == kSuccess; }
  // Throws what a failed call says. Some failures (a kernel's invalid access) are the device's last word in this
  // process: every later call is then refused with the first reason.
  void check(Result result, const char* call, const std::string& detail = {}) {
    if (result != kSuccess) fail(result, call, detail);
  }

 private:
  explicit CudaDevice(DeviceProperties properties);
  [[noreturn]] void fail(Result result, const char* call, const std::string& detail);
  [[noreturn]] void fail_lost();

  DeviceProperties properties_;
  ContextHandle context_ = nullptr;
  std::atomic<size_t> allocated_{0};
  std::atomic<bool> lost_{false};
  std::mutex reason_mutex_;
  std::string reason_;
};

}  // namespace tw::cuda
