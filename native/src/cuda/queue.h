// A stream with its recordings (CUDA graphs) and marks (events).
#pragma once
#include <vector>

#include "cuda/device.h"

namespace tw::cuda {

class Queue : public DeviceQueue {
 public:
  explicit Queue(std::shared_ptr<CudaDevice> device);
  ~Queue() override;

  void enter() override { device_->make_current(); }
  void synchronize() override;
  std::unique_ptr<Recording> record(const std::function<void()>& work) override;
  void play(Recording& recording) override;
  void fill(std::byte* data, size_t bytes, unsigned char value) override;
  void mark(size_t slot) override;
  double nanoseconds(size_t from, size_t to) override;

  // Between any two memories.
  void copy(void* to, const void* from, size_t bytes);
  void launch(FunctionHandle function, LaunchConfig& config, void* arguments);
  // The stream, for what libraries queue on it.
  StreamHandle lend() {
    after_kernel_ = false;
    return stream_;
  }

 private:
  std::shared_ptr<CudaDevice> device_;
  StreamHandle stream_ = nullptr;
  std::vector<EventHandle> marks_;
  // A kernel may begin while the one before it ends; after anything else it begins in order.
  bool after_kernel_ = false;
};

}  // namespace tw::cuda
