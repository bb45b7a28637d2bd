#include "executor/trial.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include "executor/context.h"
#include "executor/layout.h"
#include "executor/random_tensor.h"

namespace tw {
namespace {

// The program's inputs, filled at random: equal numbers at equal coordinates, in whatever order of axes they lie.
struct RandomInputs {
  RandomInputs(const Program& program, const std::vector<std::vector<int64_t>>& dims);

  std::vector<Tensor> tensors;
  std::vector<Block> host;
  std::vector<DeviceBlock> device;
};

RandomInputs::RandomInputs(const Program& program, const std::vector<std::vector<int64_t>>& dims)
    : tensors(dims.size()), host(dims.size()), device(dims.size()) {
  if (dims.size() != program.inputs().size())
    throw Error(Code::kInvalidArgument, "expected dims for " + std::to_string(program.inputs().size()) + " inputs");
  Random random;
  for (size_t i = 0; i < dims.size(); ++i) {
    const ProgramValue& v = program.values()[static_cast<size_t>(program.inputs()[i])];
    if (!v.tensor) throw Error(Code::kInvalidArgument, "input " + v.name + " is not a tensor");
    Tensor& t = tensors[i];
    t.dtype = v.dtype;
    set_dense(t, dims[i], {}, v.name.c_str());
    const size_t size = dense_bytes(t);
    t.data = host[i].reserve(size);
    fill(t, random);
    if (!v.order.empty()) {
      Tensor ordered = t;
      set_dense(ordered, dims[i], v.order, v.name.c_str());
      Block block(size);
      ordered.data = block.data();
      copy_elements(t, ordered);
      host[i] = std::move(block);
      t.data = host[i].data();
    }
    if (!v.on_device) continue;
    device[i] = DeviceBlock(program.device());
    device[i].reserve(size + 1);
    program.device()->upload(device[i].data(), host[i].data(), size);
    host[i] = {};
    t.data = device[i].data();
    t.on_device = true;
  }
}

// What they take together.
size_t bytes_of_inputs(const Program& program, const std::vector<std::vector<int64_t>>& dims) {
  size_t bytes = 0;
  for (size_t i = 0; i < dims.size() && i < program.inputs().size(); ++i) {
    const ProgramValue& v = program.values()[static_cast<size_t>(program.inputs()[i])];
    Tensor t;
    t.dtype = v.dtype;
    set_dense(t, dims[i], {}, v.name.c_str());
    bytes += dense_bytes(t);
  }
  return bytes;
}

// Inputs on a device are kept for the next trials, which are mostly of other tactics for the same few problems.
class KeptInputs {
 public:
  static KeptInputs& instance() {
    static KeptInputs& kept = *new KeptInputs;  // never destroyed: the driver may be gone by then
    return kept;
  }
  std::shared_ptr<const RandomInputs> get(const Program& program, const std::vector<std::vector<int64_t>>& dims) {
    if (!program.device()) return std::make_shared<RandomInputs>(program, dims);
    std::string problem = describe(program, dims);
    const size_t bytes = bytes_of_inputs(program, dims);
    std::vector<Kept> dropped;
    {
      const std::lock_guard lock(mutex_);
      const auto known = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.problem == problem; });
      if (known != kept_.end()) {
        std::rotate(known, known + 1, kept_.end());
        return kept_.back().inputs;
      }
      if (bytes <= kMostBytes) dropped = make_room(bytes);
    }
    dropped.clear();
    // Without the lock: where memory runs short, what is kept goes.
    auto inputs = std::make_shared<const RandomInputs>(program, dims);
    const std::lock_guard lock(mutex_);
    // Trials at the same time may have kept more meanwhile.
    const bool known = std::any_of(kept_.begin(), kept_.end(), [&](const Kept& k) { return k.problem == problem; });
    if (known || bytes > kMostBytes) return inputs;
    dropped = make_room(bytes);
    kept_.push_back({std::move(problem), bytes, program.device().get(), inputs});
    return inputs;
  }

 private:
  static constexpr size_t kMostBytes = size_t{1} << 30;
  struct Kept {
    std::string problem;
    size_t bytes;
    const Device* device;
    std::shared_ptr<const RandomInputs> inputs;
  };

  KeptInputs() {
    add_reclaimer([](const Device& device) { return instance().release(device); });
  }

  // Takes those out that were used longest ago, until so many bytes fit beside the rest.
  std::vector<Kept> make_room(size_t bytes) {
    size_t sum = bytes;
    for (const Kept& k : kept_) sum += k.bytes;
    std::vector<Kept> dropped;
    while (sum > kMostBytes) {
      sum -= kept_.front().bytes;
      dropped.push_back(std::move(kept_.front()));
      kept_.erase(kept_.begin());
    }
    return dropped;
  }

  // All that no trial uses.
  bool release(const Device& device) {
    std::vector<Kept> dropped;
    {
      const std::lock_guard lock(mutex_);
      const auto kept = std::stable_partition(kept_.begin(), kept_.end(), [&](const Kept& k) {
        return k.device != &device || k.inputs.use_count() > 1;
      });
      dropped.assign(std::make_move_iterator(kept), std::make_move_iterator(kept_.end()));
      kept_.erase(kept, kept_.end());
    }
    return !dropped.empty();
  }

  static std::string describe(const Program& program, const std::vector<std::vector<int64_t>>& dims) {
    std::string text = std::to_string(reinterpret_cast<uintptr_t>(program.device().get()));
    for (size_t i = 0; i < dims.size(); ++i) {
      text += '|';
      if (i < program.inputs().size()) {
        const ProgramValue& v = program.values()[static_cast<size_t>(program.inputs()[i])];
        text += std::to_string(static_cast<int>(v.dtype)) + (v.on_device ? 'd' : 'h');
        for (const auto axis : v.order) text += std::to_string(axis) + ',';
      }
      for (const int64_t d : dims[i]) text += ' ' + std::to_string(d);
    }
    return text;
  }

  std::mutex mutex_;
  std::vector<Kept> kept_;  // the last used last
};

// Every run writes to the same memory.
class KeptSink : public OutputSink {
 public:
  explicit KeptSink(size_t outputs) : blocks_(outputs) {}
  std::byte* place(size_t output, DType, std::span<const int64_t>, size_t bytes) override {
    return blocks_[output].reserve(bytes);
  }

 private:
  std::vector<Block> blocks_;
};

// Frames of a program that take turns with a first one, each with constants of its own: more together than the device's
// cache holds.
class ColdFrames {
 public:
  ColdFrames(Frame& first, const std::shared_ptr<const Program>& program, ThreadPool& pool, int most) {
    constexpr size_t kMostFrames = 200, kMostBytes = size_t{1} << 30;
    const size_t bytes = program->device_constant_bytes(), enough = 2 * program->device()->cache_bytes();
    // Of so few, no number of copies that is worth it fills the cache.
    if (bytes == 0 || bytes < enough / kMostFrames) return;
    const size_t each = bytes + first.memory().device;
    const size_t frames = std::min({(enough + bytes - 1) / bytes, kMostBytes / each, static_cast<size_t>(most)});
    for (size_t i = 1; i < frames; ++i) {
      DeviceBlock copy(program->device());
      try {
        copy.reserve(bytes);
      } catch (const Error& e) {
        if (e.code != Code::kOutOfMemory) throw;
        return;
      }
      first.queue()->copy(copy.data(), program->device_constants(), bytes);
      constants_.push_back(std::move(copy));
      FrameOptions options;
      options.constants = constants_.back().data();
      frames_.push_back(std::make_unique<Frame>(program, pool, options, first.queue()));
      turns_.push_back(frames_.back().get());
    }
  }
  std::span<Frame* const> turns() const { return turns_; }

 private:
  std::vector<DeviceBlock> constants_;
  std::vector<std::unique_ptr<Frame>> frames_;
  std::vector<Frame*> turns_;
};

// Of recordings that last long enough for the device's clock. `run_once`: runs a frame.
template <typename RunOnce>
std::vector<double> device_times(Frame& frame, const std::shared_ptr<const Program>& program, ThreadPool& pool,
                                 const TimingOptions& options, const RunOptions& run, const RunOnce& run_once) {
  constexpr double kRecordingNanoseconds = 2e5;
  constexpr int kMostRepeats = 200, kPlays = 5;
  const DeviceTimes once = frame.device_times(1, 2, run);
  if (!once.complete || once.device.empty()) return {};
  const double most = std::min<double>(kMostRepeats, static_cast<double>(options.max_runs) * 4);
  int repeats = static_cast<int>(std::clamp(kRecordingNanoseconds / std::max(once.device.back(), 1.0), 1.0, most));
  std::optional<ColdFrames> cold;
  if (options.cold_constants) {
    // Of what takes long, too, some copies take turns: it races with others.
    constexpr int kLeastTurns = 8;
    cold.emplace(frame, program, pool, std::max(repeats, kLeastTurns));
    repeats = std::max(repeats, static_cast<int>(cold->turns().size()) + 1);
  }
  const auto turns = cold ? cold->turns() : std::span<Frame* const>();
  size_t ready = 0;
  try {
    for (; ready < turns.size(); ++ready) run_once(*turns[ready]);
  } catch (const Error& e) {
    if (e.code != Code::kOutOfMemory) throw;
  }
  auto times = frame.device_times(repeats, kPlays, run, turns.first(ready)).device;
  std::sort(times.begin(), times.end());
  return times;
}

// Of a large tensor, elements spread over all of it, one at a place of its own in each stretch; else all, row-major.
void copy_sample(const Tensor& from, OutputSlot& slot) {
  constexpr int64_t kMost = 1 << 20;
  Tensor& to = slot.tensor;
  to = from;
  to.on_device = false;
  const int64_t count = from.count();
  const int bits = info(from.dtype).bits;
  if (count <= kMost || bits < 8) {
    to.set_row_major();
    to.data = slot.block.reserve(dense_bytes(to));
    return copy_elements(from, to);
  }
  to.rank = 1;
  to.dims[0] = kMost;
  to.set_row_major();
  to.data = slot.block.reserve(dense_bytes(to));
  const size_t size = static_cast<size_t>(bits) / 8;
  Random random;
  for (int64_t i = 0; i < kMost; ++i) {
    const int64_t begin = i * (count / kMost), stretch = (i == kMost - 1 ? count : begin + count / kMost) - begin;
    int64_t place = begin + static_cast<int64_t>(random.next() % static_cast<uint64_t>(stretch)), offset = 0;
    for (int a = from.rank - 1; a >= 0; --a) {
      offset += place % from.dims[a] * from.strides[a];
      place /= from.dims[a];
    }
    std::memcpy(to.as<std::byte>() + static_cast<size_t>(i) * size,
                from.as<std::byte>() + static_cast<size_t>(offset) * size, size);
  }
}

// What the last step has written. Nothing else of a program of one step is of interest.
std::vector<OutputSlot> last_outputs(Frame& frame) {
  const ProgramStep& step = frame.program().steps().back();
  std::vector<OutputSlot> outputs(step.outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].tensor.rank = -1;
    if (step.outputs[i].value < 0) continue;
    Tensor from = frame.view(step.outputs[i]);
    Block staged;
    if (from.on_device) {
      int64_t last = from.count() > 0 ? 0 : -1;
      for (int a = 0; a < from.rank && last >= 0; ++a) last += (from.dims[a] - 1) * from.strides[a];
      const size_t bytes = packed_bytes(from.dtype, last + 1);
      frame.program().device()->download(staged.reserve(bytes), from.as<std::byte>(), bytes);
      from.data = staged.data();
    }
    copy_sample(from, outputs[i]);
  }
  return outputs;
}

}  // namespace

Trial try_program(std::shared_ptr<const Program> program, const std::vector<std::vector<int64_t>>& input_dims,
                  std::shared_ptr<ThreadPool> pool, const TimingOptions& options, const std::atomic<bool>& cancelled) {
  const auto inputs = KeptInputs::instance().get(*program, input_dims);
  KeptSink sink(program->outputs().size());
  const RunOptions run{cancelled, kDefaultIterations};
  const auto run_once = [&](Frame& frame) { frame.run(inputs->tensors, {}, sink, run); };
  Frame frame(program, *pool, {});
  Trial trial;
  run_once(frame);
  if (options.outputs && !program->steps().empty()) {
    frame.poison_all();
    run_once(frame);
    trial.outputs = last_outputs(frame);
  }
  if (options.max_runs == 0) return trial;
  run_once(frame);
  if (program->device()) trial.nanoseconds = device_times(frame, program, *pool, options, run, run_once);
  if (!trial.nanoseconds.empty()) return trial;
  int64_t total = 0;
  std::vector<double>& times = trial.nanoseconds;
  while (times.empty() || (total < options.min_nanoseconds && static_cast<int64_t>(times.size()) < options.max_runs)) {
    const auto started = std::chrono::steady_clock::now();
    run_once(frame);
    const auto spent =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - started).count();
    times.push_back(static_cast<double>(spent));
    total += spent;
  }
  std::sort(times.begin(), times.end());
  return trial;
}

}  // namespace tw
