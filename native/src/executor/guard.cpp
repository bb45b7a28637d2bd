#include "executor/guard.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "executor/frame.h"
#include "executor/layout.h"

namespace tw {
namespace {

// A multiple of what kernels may expect of the alignment.
constexpr size_t kGuard = 4096;
constexpr std::byte kMark{0xA5};

}  // namespace

GuardedMemory::GuardedMemory(size_t bytes, std::shared_ptr<Device> device, DeviceQueue* queue)
    : bytes_(bytes), device_(std::move(device)), queue_(queue) {
  const size_t all = bytes + 2 * kGuard;
  if (device_) {
    on_device_ = DeviceBlock(device_);
    on_device_.reserve(all);
    queue_->fill(on_device_.data(), all, static_cast<unsigned char>(kMark));
    begin_ = on_device_.data() + kGuard;
  } else {
    host_.reserve(all);
    std::fill_n(host_.data(), all, kMark);
    begin_ = host_.data() + kGuard;
  }
}

void GuardedMemory::copy(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes == 0) return;
  if (device_)
    queue_->copy(to, from, bytes);
  else
    std::memcpy(to, from, bytes);
}

std::string GuardedMemory::damage() const {
  std::vector<std::byte> guard(kGuard);
  const auto load = [&](const std::byte* from) {
    if (device_)
      device_->download(guard.data(), from, kGuard);
    else
      std::memcpy(guard.data(), from, kGuard);
  };
  const auto changed = [](std::byte b) { return b != kMark; };
  const auto text = [](std::ptrdiff_t bytes, const char* where) {
    return "up to " + std::to_string(bytes) + " bytes " + where;
  };
  load(begin_ + bytes_);
  if (const auto it = std::find_if(guard.rbegin(), guard.rend(), changed); it != guard.rend())
    return text(guard.rend() - it, "beyond the end of");
  load(begin_ - kGuard);
  if (const auto it = std::find_if(guard.begin(), guard.end(), changed); it != guard.end())
    return text(guard.end() - it, "before the beginning of");
  return {};
}

void StepGuards::take_output(size_t index, Tensor& output, std::span<Tensor> inputs) {
  if (output.rank < 0 || output.data == nullptr) return;
  const size_t bytes = dense_bytes(output);
  const bool named = index < names_.size();
  moved_.push_back({GuardedMemory(bytes, device_, queue_), output.as<std::byte>(),
                    named ? "output '" + names_[index] + "'" : "output " + std::to_string(index)});
  Moved& moved = moved_.back();
  // What is changed in place lies there already, whether the step is given it as an input or not.
  moved.memory.read(moved.home, bytes);
  for (Tensor& input : inputs)
    if (bytes > 0 && input.data == output.data) input.data = moved.memory.data();
  output.data = moved.memory.data();
}

std::byte* StepGuards::workspace(size_t bytes) {
  moved_.push_back({GuardedMemory(bytes, device_, queue_), nullptr, "scratch memory"});
  return moved_.back().memory.data();
}

void StepGuards::finish() {
  if (queue_) queue_->synchronize();
  for (const Moved& moved : moved_)
    if (const std::string damage = moved.memory.damage(); !damage.empty())
      throw Error(Code::kPlugin, "plugin " + plugin_ + " writes " + damage + " its " + moved.what);
  for (Moved& moved : moved_)
    if (moved.home) moved.memory.write(moved.home, moved.memory.bytes());
  // The memory goes when this does.
  if (queue_) queue_->synchronize();
}

void Frame::run_guarded(const ProgramStep& step, KernelContext& context) {
  const std::span<Tensor> inputs{tensors_.data() + step.first_tensor, step.inputs.size()};
  const std::span<Tensor> outputs = outputs_of(step);
  StepGuards guards(step.plugin, step.attributes.strings("pluginOutputs"),
                    step.on_device ? program_->device() : nullptr, step.on_device ? queue_.get() : nullptr);
  std::vector<std::byte*> homes;
  for (size_t i = 0; i < inputs.size() + outputs.size(); ++i)
    homes.push_back(tensors_[step.first_tensor + i].as<std::byte>());
  const auto put_back = [&] {
    guards_ = nullptr;
    // What the kernel has allocated meanwhile is where it belongs already.
    for (size_t i = 0; i < homes.size(); ++i)
      if (homes[i]) tensors_[step.first_tensor + i].data = homes[i];
    for (size_t k = 0; k < outputs.size(); ++k)
      if (!homes[inputs.size() + k] && step.outputs[k].value >= 0 && outputs[k].rank >= 0)
        outputs[k].data = values_[static_cast<size_t>(step.outputs[k].value)].data;
  };
  try {
    for (size_t k = 0; k < outputs.size(); ++k) guards.take_output(k, outputs[k], inputs);
    size_t scratch = step.kernel->workspace_bytes(inputs, outputs, pool_.threads());
    if (!step.on_device) scratch = std::max(scratch, step.kernel->workspace_bytes(inputs, outputs, 1));
    if (scratch > 0) context.workspace = guards.workspace(scratch);
    guards_ = &guards;
    step.kernel->run(context, inputs, outputs);
    guards.finish();
  } catch (...) {
    put_back();
    // The guards' memory goes, which what has been queued before the failure uses.
    if (step.on_device) queue_->drain();
    throw;
  }
  put_back();
}

}  // namespace tw
