#include "executor/room.h"

#include <algorithm>

namespace tw {

std::byte* Room::reserve(const DeviceSide& side, bool on_device, size_t bytes, size_t keep) {
  if (!on_device) return host_.reserve(bytes, keep);
  bytes = std::max<size_t>(bytes, 1);
  if (bytes <= device_.capacity()) return device_.data();
  DeviceBlock larger(side.device);
  larger.reserve(bytes);
  if (keep) side.queue->copy(larger.data(), device_.data(), keep);
  // Queued work may still use what goes.
  if (device_.data()) side.queue->synchronize();
  device_ = std::move(larger);
  return device_.data();
}

void Room::reset(const DeviceSide& side) {
  host_.reset();
  // The copy out of it may still be queued.
  if (device_.data()) side.queue->synchronize();
  device_.reset();
}

}  // namespace tw
