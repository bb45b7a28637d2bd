// Debug mode: outputs and scratch memory of a plugin's step lie apart while it runs, between guards that nobody may
// change.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "executor/block.h"
#include "executor/device.h"

namespace tw {

// A piece of memory between two guards.
class GuardedMemory {
 public:
  // Of the host; of the queue's device where there is one.
  GuardedMemory(size_t bytes, std::shared_ptr<Device> device, DeviceQueue* queue);
  std::byte* data() const { return begin_; }
  size_t bytes() const { return bytes_; }
  // Copies between this memory and other memory of the same kind.
  void read(const std::byte* from, size_t bytes) { copy(begin_, from, bytes); }
  void write(std::byte* to, size_t bytes) { copy(to, begin_, bytes); }
  // "up to 3 bytes beyond the end of"; empty where the guards are as they were. All queued work must be done.
  std::string damage() const;

 private:
  void copy(std::byte* to, const std::byte* from, size_t bytes);

  size_t bytes_;
  std::shared_ptr<Device> device_;
  DeviceQueue* queue_;
  Block host_;
  DeviceBlock on_device_;
  std::byte* begin_;
};

// The memory of one step while it runs.
class StepGuards {
 public:
  // `names`: of the outputs, as far as they are known.
  StepGuards(std::string plugin, std::vector<std::string> names, std::shared_ptr<Device> device, DeviceQueue* queue)
      : plugin_(std::move(plugin)), names_(std::move(names)), device_(std::move(device)), queue_(queue) {}

  // Moves an output's memory; an input that lies there goes with it.
  void take_output(size_t index, Tensor& output, std::span<Tensor> inputs);
  std::byte* workspace(size_t bytes);
  // Throws kPlugin where a guard has changed, else puts the results where they belong.
  void finish();

 private:
  struct Moved {
    GuardedMemory memory;
    std::byte* home;  // null: scratch memory
    std::string what;
  };

  std::string plugin_;
  std::vector<std::string> names_;
  std::shared_ptr<Device> device_;
  DeviceQueue* queue_;
  std::vector<Moved> moved_;
};

}  // namespace tw
