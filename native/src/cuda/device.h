// NVIDIA devices: what they are, their primary contexts, memory and streams.
#pragma once
#include <memory>
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

  std::byte* allocate(size_t bytes) override;
  void release(std::byte* data) noexcept override;
  void upload(std::byte* to, const std::byte* from, size_t bytes) override;
  void download(std::byte* to, const std::byte* from, size_t bytes) override;
  std::unique_ptr<DeviceQueue> make_queue() override;

  const DeviceProperties& properties() const { return properties_; }
  void make_current() const { driver().check(driver().cuCtxSetCurrent(context_), "cuCtxSetCurrent"); }

 private:
  explicit CudaDevice(DeviceProperties properties);

  DeviceProperties properties_;
  ContextHandle context_ = nullptr;
};

}  // namespace tw::cuda
