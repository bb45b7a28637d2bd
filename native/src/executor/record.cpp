// How a frame records the steps of a device, and plays them again while nothing they touch has moved.
#include <algorithm>
#include <chrono>
#include <utility>

#include "executor/frame.h"

namespace tw {
namespace {

// A flag that has another value until the scope ends.
class Restored {
 public:
  Restored(bool& flag, bool value) : flag_(flag), before_(std::exchange(flag, value)) {}
  ~Restored() { flag_ = before_; }

 private:
  bool& flag_;
  const bool before_;
};

}  // namespace

// The record for the present dims and addresses. Few are kept: each holds memory of the device.
Frame::Recorded& Frame::recorded() {
  constexpr size_t kMost = 8;
  auto it = std::find_if(recorded_.begin(), recorded_.end(), [&](const Recorded& r) {
    return r.input_dims == input_dims_ && r.enclosing == enclosing_ && r.exchanged == exchanged_ &&
           r.roaming == roaming_;
  });
  if (it == recorded_.end()) {
    if (recorded_.size() == kMost) recorded_.erase(recorded_.begin());
    const size_t ranges = program_->recordable().size();
    recorded_.push_back({input_dims_, enclosing_, exchanged_, roaming_, std::vector<Recorded::Range>(ranges)});
  } else {
    std::rotate(it, it + 1, recorded_.end());
  }
  return recorded_.back();
}

// Steps that are measured, poisoned or guarded have to run one by one.
bool Frame::records() const {
  return !profiling_ && !frame_options_.poison && !frame_options_.guards && frame_options_.recordings;
}

void Frame::forget_recordings() {
  recorded_.clear();
  late_.clear();
}

// Null where the device has too little memory for it: its steps can still run one by one. It is not tried again before
// some has been released: to fail takes longer than to run many a step.
std::shared_ptr<Recording> Frame::record_steps(size_t begin, size_t end, KernelContext& context, Refusal& refusal) {
  const Device& device = *program_->device();
  if (refusal.stands(device)) return nullptr;
  try {
    return queue_->record([&] {
      for (size_t s = begin; s < end; ++s) run_named(s, context);
    });
  } catch (const Error& e) {
    if (e.code != Code::kOutOfMemory) throw;
    refusal = {true, device.releases()};
    return nullptr;
  }
}

// False when the steps have to run one by one, also for the first time with these dims: code is loaded then, which
// cannot be recorded.
bool Frame::run_recorded(size_t range, KernelContext& context) {
  if (!records()) return false;
  auto& [ran, refusal, recording] = recorded().ranges[range];
  if (!std::exchange(ran, true)) return false;
  const auto [begin, end] = program_->recordable()[range];
  if (!recording) recording = record_steps(begin, end, context, refusal);
  if (!recording) return false;
  device_busy_ = true;
  queue_->play(recording);
  return true;
}

void Frame::detach(const RunOptions& options) {
  options_ = &options;
  device_busy_ = true;
  take_places(std::vector<std::byte*>(exchanged_.size(), nullptr));
  apply_patches();
}

DeviceTimes Frame::device_times(int repeats, int plays, const RunOptions& options, std::span<Frame* const> turns) {
  DeviceTimes times;
  const auto ranges = program_->recordable();
  if (ranges.empty() || !resolved_) return times;
  size_t covered = 0, transfers = 0;
  for (const auto& [begin, end] : ranges) covered += end - begin;
  for (const ProgramStep& step : program_->steps())
    transfers += step.on_device && !step.dynamic && step.kernel && !step.kernel->recordable() ? 1 : 0;
  times.complete = covered + transfers == program_->steps().size();
  queue_->enter();
  std::vector<Frame*> frames{this};
  frames.insert(frames.end(), turns.begin(), turns.end());
  for (Frame* frame : frames) frame->detach(options);
  // What is recorded cannot be waited for, which measuring its steps would.
  const Restored unmeasured(profiling_, false);
  const auto recording = queue_->record([&] {
    for (int r = 0; r < repeats; ++r) {
      Frame& frame = *frames[static_cast<size_t>(r) % frames.size()];
      KernelContext context{pool_, frame, frame.workspace_.data(), options.cancelled, queue_.get()};
      for (const auto& [begin, end] : ranges)
        for (size_t s = begin; s < end; ++s) frame.run_named(s, context);
    }
  });
  queue_->play(recording);
  for (int p = 0; p < plays; ++p) {
    queue_->mark(0);
    const auto started = std::chrono::steady_clock::now();
    queue_->play(recording);
    times.enqueue.push_back(
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - started).count());
    queue_->mark(1);
    queue_->synchronize();
    times.device.push_back(queue_->nanoseconds(0, 1) / repeats);
  }
  for (Frame* frame : frames) frame->device_busy_ = false;
  return times;
}

}  // namespace tw
