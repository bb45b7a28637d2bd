// How a frame records steps behind extents that the run finds out, and plays them again where the same ones recur.
#include <algorithm>
#include <string_view>

#include "executor/frame.h"

namespace tw {
namespace {

size_t hash_of(const std::vector<int64_t>& key) {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(key.data()), key.size() * sizeof(int64_t)});
}

}  // namespace

// Nothing is recorded before it came a second time. What was recorded and is not played soon has cost more than it
// saved: then that ends, but for a try from time to time.
bool Frame::LateHistory::worth_recording(size_t hash) {
  constexpr size_t kMostSeen = 16;
  if (credit == 0) {
    if (++idle < kPause) return false;
    credit = 1;
    idle = 0;
  }
  const auto it = std::find(seen.begin(), seen.end(), hash);
  if (it == seen.end()) {
    if (seen.size() == kMostSeen) seen.erase(seen.begin());
    seen.push_back(hash);
    return false;
  }
  --credit;
  return true;
}

// All that decides what the steps do: the values of symbols, and where memory is, which is made ready. Empty where a
// shape is not known after all.
std::vector<int64_t> Frame::late_key(const LateSteps& steps) {
  std::vector<int64_t> key;
  key.reserve(steps.symbols.size() + steps.values.size() + 1);
  for (const int s : steps.symbols) key.push_back(symbols_[static_cast<size_t>(s)]);
  for (const int v : steps.values) {
    const auto value = static_cast<size_t>(v);
    if (program_->values()[value].dynamic ? !ensure_known(value) : !known_[value]) return {};
    key.push_back(reinterpret_cast<intptr_t>(values_[value].data));
  }
  key.push_back(reinterpret_cast<intptr_t>(device_workspace_.data()));
  return key;
}

// Those used longest ago go where the steps of all are too many: each holds memory of the device.
void Frame::keep_late(LateRecording recording) {
  constexpr size_t kMostSteps = 4096, kMost = 64;
  late_.push_back(std::move(recording));
  size_t steps = 0, kept = 0;
  while (kept < late_.size() && kept < kMost) {
    const LateSteps& of = program_->late()[late_[late_.size() - 1 - kept].range];
    steps += of.end - of.begin;
    if (kept > 0 && steps > kMostSteps) break;
    ++kept;
  }
  late_.erase(late_.begin(), late_.end() - static_cast<std::ptrdiff_t>(kept));
}

// False when the steps have to run one by one; also where something is wrong, so that the step says it whose it is.
bool Frame::run_late(size_t range, KernelContext& context) {
  if (!records()) return false;
  const LateSteps& steps = program_->late()[range];
  LateHistory& history = histories_[range];
  const bool any = std::any_of(late_.begin(), late_.end(), [&](const LateRecording& l) { return l.range == range; });
  if (!any && !history.considers_recording()) {
    ++history.idle;
    return false;
  }
  if (!any && history.refusal.stands(*program_->device())) return false;
  std::vector<int64_t> key;
  try {
    key = late_key(steps);
  } catch (const Error&) {
    return false;
  }
  if (key.empty()) return false;
  const auto known = std::find_if(late_.begin(), late_.end(),
                                  [&](const LateRecording& l) { return l.range == range && l.key == key; });
  if (known != late_.end()) {
    std::rotate(known, known + 1, late_.end());
    history.credit = std::min(history.credit + 1, LateHistory::kMostCredit);
  } else {
    if (history.refusal.stands(*program_->device()) || !history.worth_recording(hash_of(key))) return false;
    // Nothing may be allocated amid a recording.
    for (size_t s = steps.begin; s < steps.end; ++s) {
      const ProgramStep& step = program_->steps()[s];
      if (!step.dynamic) continue;
      resolve_step(step, false);
      prepare_kernel(step);
    }
    auto recording = record_steps(steps.begin, steps.end, context, history.refusal);
    if (!recording) return false;
    keep_late({range, late_key(steps), std::move(recording)});
  }
  device_busy_ = true;
  queue_->play(late_.back().recording);
  return true;
}

}  // namespace tw
