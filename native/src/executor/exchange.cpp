// Memory of the device that the caller gives for inputs and outputs, used in the place of the program's own.
#include <algorithm>

#include "executor/frame.h"
#include "executor/layout.h"

namespace tw {
namespace {

struct Range {
  const std::byte* begin = nullptr;  // null: none
  size_t bytes = 0;
};

bool overlap(const Range& a, const Range& b) {
  return a.begin && b.begin && a.begin < b.begin + b.bytes && b.begin < a.begin + a.bytes;
}

Range on_device(const Tensor& t) {
  return t.rank >= 0 && t.on_device ? Range{t.as<const std::byte>(), dense_bytes(t)} : Range{};
}

Range on_device(const DeviceMemory* memory) { return memory ? Range{memory->block.data(), memory->bytes} : Range{}; }

}  // namespace

// By exchange of the program: the caller's memory; null where it is the host's, or shared by what must not share it.
std::vector<std::byte*> Frame::wanted_exchanges(std::span<const Tensor> inputs) const {
  const auto exchanges = program_->exchanges();
  std::vector<std::byte*> wanted(exchanges.size());
  std::vector<char> from_output(exchanges.size());
  for (size_t e = 0; e < exchanges.size(); ++e) {
    const Exchange& x = exchanges[e];
    if (x.output >= 0) {
      const DeviceMemory* memory = sink_->device_memory(static_cast<size_t>(x.output));
      from_output[e] = memory && memory->device == program_->device() && memory->bytes >= capacity_[x.value];
      if (from_output[e]) wanted[e] = memory->block.data();
    }
    if (from_output[e] || x.input < 0 || x.changed || capacity_[x.value] == 0) continue;
    // What no step changes is delivered from where it came.
    if (const Tensor& t = inputs[static_cast<size_t>(x.input)]; t.on_device) wanted[e] = t.as<std::byte>();
  }
  // A step may write an output while others still read what lies there: copies from inputs at the beginning and to
  // outputs behind them do not. Only the very input that an output is made of may be its memory.
  for (size_t e = 0; e < exchanges.size(); ++e) {
    const Exchange& x = exchanges[e];
    const Range own{wanted[e], capacity_[x.value]};
    for (size_t o = 0; o < program_->outputs().size(); ++o) {
      const bool is_it = from_output[e] && static_cast<int>(o) == x.output;
      if (!is_it && overlap(own, on_device(sink_->device_memory(o)))) wanted[e] = nullptr;
    }
    if (!from_output[e]) continue;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Range input = on_device(inputs[i]);
      const bool stays = (x.in_place || !x.changed) && x.input == static_cast<int>(i) && input.begin == own.begin;
      if (!stays && overlap(own, input)) wanted[e] = nullptr;
    }
  }
  return wanted;
}

// Where a recording for these dims is there, addresses that come once are not worth one of their own: their values are
// carried as from the host, and that recording is played. Those that come again take the values' places.
void Frame::exchange(std::span<const Tensor> inputs) {
  constexpr size_t kMostSeen = 8;
  std::vector<std::byte*> wanted = wanted_exchanges(inputs);
  if (std::any_of(wanted.begin(), wanted.end(), [](const std::byte* w) { return w != nullptr; })) {
    const auto seen = std::find(seen_exchanges_.begin(), seen_exchanges_.end(), wanted);
    if (seen == seen_exchanges_.end()) {
      if (seen_exchanges_.size() == kMostSeen) seen_exchanges_.erase(seen_exchanges_.begin());
      seen_exchanges_.push_back(wanted);
      const bool ran = std::any_of(recorded_.begin(), recorded_.end(), [&](const Recorded& r) {
        return r.input_dims == input_dims_ && r.enclosing == enclosing_;
      });
      if (ran) std::fill(wanted.begin(), wanted.end(), nullptr);
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
    const Exchange& x = exchanges[e];
    std::byte* const place = exchanged_[e];
    values_[x.value].data = place ? place : homes_[e];
    const DeviceMemory* memory = place && x.output >= 0 ? sink_->device_memory(static_cast<size_t>(x.output)) : nullptr;
    if (x.output >= 0) skipped_[x.output_step] = memory && memory->block.data() == place;
    if (x.input < 0) continue;
    // What was given for the output has the input's elements already where it is the same memory.
    const Tensor& input = values_[static_cast<size_t>(program_->inputs()[static_cast<size_t>(x.input)])];
    skipped_[x.input_step] = place && input.on_device && input.as<std::byte>() == place;
  }
}

}  // namespace tw
