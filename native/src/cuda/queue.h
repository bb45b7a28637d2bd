// A stream with its recordings (CUDA graphs) and marks (events).
#pragma once
#include <utility>
#include <vector>

#include "cuda/device.h"
#include "cuda/staging.h"

namespace tw::cuda {

class Queue : public DeviceQueue {
 public:
  explicit Queue(std::shared_ptr<CudaDevice> device);
  ~Queue() override;

  void enter() override { device_->make_current(); }
  void synchronize() override;
  const QueueCounts& counts() const override { return counts_; }
  void drain() noexcept override;
  std::shared_ptr<Recording> record(const std::function<void()>& work) override;
  void play(const std::shared_ptr<Recording>& recording) override;
  void keep(std::shared_ptr<const void> needed) override;
  void fill(std::byte* data, size_t bytes, unsigned char value) override;
  void copy(void* to, const void* from, size_t bytes) override;
  void mark(size_t slot) override;
  double nanoseconds(size_t from, size_t to) override;

  // From the host's memory, which the caller may change at once.
  void upload(void* to, const void* from, size_t bytes);
  // To the host's memory, where the bytes are after synchronize().
  void download(void* to, const void* from, size_t bytes);
  size_t staging_bytes() const override { return staging_.bytes(); }
  void launch(FunctionHandle function, LaunchConfig& config, void* arguments);
  // What a library has for this queue alone, like the right to one of its contexts: null until it is set, and gone
  // before the stream is.
  std::shared_ptr<void>& attachment(const void* library);
  // The stream, for what libraries queue on it.
  StreamHandle lend() {
    after_kernel_ = false;
    ++counts_.launches;
    return stream_;
  }

 private:
  std::shared_ptr<CudaDevice> device_;
  StreamHandle stream_ = nullptr;
  std::vector<EventHandle> marks_;
  std::vector<std::pair<const void*, std::shared_ptr<void>>> attachments_;
  Staging staging_;
  struct Arriving {
    void* to;
    const std::byte* staged;
    size_t bytes;
  };
  std::vector<Arriving> arriving_;  // downloads that are queued
  std::vector<std::shared_ptr<const void>> needed_;      // by what is queued
  std::vector<std::shared_ptr<const void>>* recorded_ = nullptr;  // by what is being recorded
  // A kernel may begin while the one before it ends; after anything else it begins in order.
  bool after_kernel_ = false;
  QueueCounts counts_;
};

// While it lives, this thread may do what a recording of its own would forbid: allocate, load code, wait for other
// queues. None of it is recorded.
class Unrecorded {
 public:
  Unrecorded() { driver().cuThreadExchangeStreamCaptureMode(&mode_); }
  ~Unrecorded() { driver().cuThreadExchangeStreamCaptureMode(&mode_); }
  Unrecorded(const Unrecorded&) = delete;
  Unrecorded& operator=(const Unrecorded&) = delete;

 private:
  static constexpr int kRelaxed = 2;
  int mode_ = kRelaxed;
};

}  // namespace tw::cuda
