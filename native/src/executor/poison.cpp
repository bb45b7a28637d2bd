#include "executor/poison.h"

#include <algorithm>

#include "executor/frame.h"

namespace tw {
namespace {

constexpr unsigned char kPoison = 0xFF;

using Range = std::pair<size_t, size_t>;

std::vector<Range> subtract(const std::vector<Range>& from, Range taken) {
  std::vector<Range> rest;
  for (const auto& [begin, end] : from) {
    if (begin < std::min(end, taken.first)) rest.push_back({begin, std::min(end, taken.first)});
    if (std::max(begin, taken.second) < end) rest.push_back({std::max(begin, taken.second), end});
  }
  return rest;
}

}  // namespace

std::vector<std::vector<Range>> poison_ranges(const Program& program, bool on_device) {
  std::vector<std::vector<Range>> ranges(program.steps().size());
  const auto in_arena = [&](const ProgramValue& v) {
    return v.tensor && v.on_device == on_device && v.storage == Storage::kArena && v.first_step >= 0;
  };
  for (const ProgramValue& dead : program.values()) {
    if (!in_arena(dead) || static_cast<size_t>(dead.last_step) >= ranges.size()) continue;
    std::vector<Range> left{{dead.offset, dead.offset + dead.bytes}};
    for (const ProgramValue& v : program.values())
      if (in_arena(v) && v.first_step <= dead.last_step && v.last_step > dead.last_step)
        left = subtract(left, {v.offset, v.offset + v.bytes});
    auto& into = ranges[static_cast<size_t>(dead.last_step)];
    into.insert(into.end(), left.begin(), left.end());
  }
  return ranges;
}

void Frame::poison_dead() {
  for (const auto& [begin, end] : poison_ranges_[step_])
    std::fill(arena_.data() + begin, arena_.data() + end, std::byte{kPoison});
  if (!queue_) return;
  device_busy_ = device_busy_ || !device_poison_ranges_[step_].empty();
  for (const auto& [begin, end] : device_poison_ranges_[step_])
    queue_->fill(device_arena_.data() + begin, end - begin, kPoison);
}

void Frame::poison_all() {
  for (Block* block : {&arena_, &static_heap_, &workspace_})
    if (block->data()) std::fill_n(block->data(), block->capacity(), std::byte{kPoison});
  if (!queue_) return;
  queue_->enter();
  for (DeviceBlock* block : {&device_arena_, &device_static_heap_, &device_workspace_})
    queue_->fill(block->data(), block->capacity(), kPoison);
  queue_->synchronize();
}

}  // namespace tw
