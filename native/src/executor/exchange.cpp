// Memory of the device that the caller gives for inputs and outputs, used in the place of the program's own.
#include <algorithm>

#include "executor/frame.h"

namespace tw {

// By exchange of the program: the caller's memory; null where it is the host's, or shared by what must not share it.
std::vector<std::byte*> Frame::wanted_exchanges(std::span<const Tensor> inputs) const {
  const auto exchanges = program_->exchanges();
  std::vector<std::byte*> wanted(exchanges.size());
  for (size_t e = 0; e < exchanges.size(); ++e) {
    const auto& [step, value, input, output] = exchanges[e];
    if (input >= 0) {
      const Tensor& t = inputs[static_cast<size_t>(input)];
      if (t.on_device && capacity_[value] > 0) wanted[e] = t.as<std::byte>();
    } else if (const DeviceMemory* memory = sink_->device_memory(static_cast<size_t>(output))) {
      if (memory->device == program_->device() && memory->bytes >= capacity_[value]) wanted[e] = memory->block.data();
    }
  }
  // A step may write an output while others still read what lies there: the copy at the end does not.
  for (size_t e = 0; e < exchanges.size(); ++e) {
    if (exchanges[e].output < 0 || !wanted[e]) continue;
    const auto shared = [&](size_t other) {
      return other != e && wanted[other] && wanted[other] < wanted[e] + capacity_[exchanges[e].value] &&
             wanted[e] < wanted[other] + capacity_[exchanges[other].value];
    };
    for (size_t other = 0; other < exchanges.size() && wanted[e]; ++other)
      if (shared(other)) wanted[e] = nullptr;
  }
  return wanted;
}

// Addresses that come once are not worth a recording: their values are carried as from the host, and the recording that
// is there is played. Those that come again take the values' places.
void Frame::exchange(std::span<const Tensor> inputs) {
  constexpr size_t kMostSeen = 8;
  const auto exchanges = program_->exchanges();
  std::vector<std::byte*> wanted = wanted_exchanges(inputs);
  if (std::any_of(wanted.begin(), wanted.end(), [](const std::byte* w) { return w != nullptr; })) {
    const auto seen = std::find(seen_exchanges_.begin(), seen_exchanges_.end(), wanted);
    if (seen == seen_exchanges_.end()) {
      if (seen_exchanges_.size() == kMostSeen) seen_exchanges_.erase(seen_exchanges_.begin());
      seen_exchanges_.push_back(wanted);
      std::fill(wanted.begin(), wanted.end(), nullptr);
    } else {
      std::rotate(seen, seen + 1, seen_exchanges_.end());
    }
  }
  take_places(std::move(wanted));
}

// By exchange: the memory that takes the value's place; null: its own.
void Frame::take_places(std::vector<std::byte*> memory) {
  const auto exchanges = program_->exchanges();
  exchanged_ = std::move(memory);
  for (size_t e = 0; e < exchanges.size(); ++e) {
    values_[exchanges[e].value].data = exchanged_[e] ? exchanged_[e] : homes_[e];
    skipped_[exchanges[e].step] = exchanged_[e] != nullptr;
  }
}

}  // namespace tw
