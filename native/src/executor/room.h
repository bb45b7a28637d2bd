// Memory that a control step keeps values of its bodies in: the host's, or that of the device it runs on.
#pragma once
#include <memory>

#include "executor/block.h"
#include "executor/device.h"

namespace tw {

// The device of a step and the queue of its frame; none for steps of the processor.
struct DeviceSide {
  std::shared_ptr<Device> device;
  DeviceQueue* queue = nullptr;
};

class Room {
 public:
  // At least `bytes`, the first `keep` of them with their old contents. Never null afterwards.
  std::byte* reserve(const DeviceSide& side, bool on_device, size_t bytes, size_t keep = 0);
  std::byte* data() const { return device_.data() ? device_.data() : host_.data(); }
  size_t capacity() const { return host_.capacity() + device_.capacity(); }
  size_t device_bytes() const { return device_.capacity(); }
  void reset(const DeviceSide& side);

 private:
  Block host_;
  DeviceBlock device_;
};

}  // namespace tw
