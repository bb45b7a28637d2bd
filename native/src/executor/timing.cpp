#include "executor/timing.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "executor/context.h"
#include "executor/layout.h"

namespace tw {
namespace {

// xorshift64*: the same inputs in every measurement.
class Random {
 public:
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-52 - 1; }  // in [-1, 1)

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

template <typename T, typename F>
void fill_with(const Tensor& t, F value) {
  T* data = t.as<T>();
  for (size_t i = 0, n = dense_bytes(t) / sizeof(T); i < n; ++i) data[i] = static_cast<T>(value());
}

// Ordinary numbers: no NaN, infinity or denormal, whose arithmetic may be slower; wide integers are 0 or 1, which are
// valid indices and sizes nearly everywhere.
void fill(const Tensor& t, Random& random) {
  switch (t.dtype) {
    case DType::kFloat32:
    case DType::kComplex64:
      return fill_with<float>(t, [&] { return random.unit(); });
    case DType::kFloat64:
    case DType::kComplex128:
      return fill_with<double>(t, [&] { return random.unit(); });
    case DType::kFloat16:  // sign and mantissa at random, exponent -1: 0.5 to 1
      return fill_with<uint16_t>(t, [&] { return (random.next() & 0x83FF) | 0x3800; });
    case DType::kBFloat16:
      return fill_with<uint16_t>(t, [&] { return (random.next() & 0x807F) | 0x3F00; });
    case DType::kInt64:
    case DType::kUInt64:
      return fill_with<uint64_t>(t, [&] { return random.next() & 1; });
    case DType::kInt32:
    case DType::kUInt32:
      return fill_with<uint32_t>(t, [&] { return random.next() & 1; });
    case DType::kInt16:
    case DType::kUInt16:
      return fill_with<uint16_t>(t, [&] { return random.next() & 1; });
    case DType::kBool:
      return fill_with<uint8_t>(t, [&] { return random.next() & 1; });
    default: {
      auto* bytes = t.as<uint8_t>();
      const uint8_t mask = t.dtype == DType::kInt8 || t.dtype == DType::kUInt8 || info(t.dtype).bits < 8 ? 0xFF : 0xB7;
      for (size_t i = 0, n = dense_bytes(t); i < n; ++i) bytes[i] = static_cast<uint8_t>(random.next()) & mask;
    }
  }
}

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

// Of recordings that last long enough for the device's clock.
std::vector<double> device_times(Frame& frame, const TimingOptions& options, const RunOptions& run) {
  constexpr double kRecordingNanoseconds = 2e5;
  constexpr int kMostRepeats = 200, kPlays = 5;
  const DeviceTimes once = frame.device_times(1, 2, run);
  if (!once.complete || once.device.empty()) return {};
  const double most = std::min<double>(kMostRepeats, static_cast<double>(options.max_runs) * 4);
  const int repeats = static_cast<int>(std::clamp(kRecordingNanoseconds / std::max(once.device.back(), 1.0), 1.0, most));
  auto times = frame.device_times(repeats, kPlays, run).device;
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace

std::vector<double> time_program(std::shared_ptr<const Program> program,
                                 const std::vector<std::vector<int64_t>>& input_dims, std::shared_ptr<ThreadPool> pool,
                                 const TimingOptions& options, const std::atomic<bool>& cancelled) {
  if (input_dims.size() != program->inputs().size())
    throw Error(Code::kInvalidArgument, "expected dims for " + std::to_string(program->inputs().size()) + " inputs");
  std::vector<Tensor> inputs(input_dims.size());
  std::vector<Block> memory(input_dims.size());
  std::vector<DeviceBlock> device_memory(input_dims.size());
  Random random;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ProgramValue& v = program->values()[static_cast<size_t>(program->inputs()[i])];
    if (!v.tensor) throw Error(Code::kInvalidArgument, "input " + v.name + " is not a tensor");
    inputs[i].dtype = v.dtype;
    set_dense(inputs[i], input_dims[i], {}, v.name.c_str());
    inputs[i].data = memory[i].reserve(dense_bytes(inputs[i]));
    fill(inputs[i], random);
    if (!v.on_device) continue;
    device_memory[i] = DeviceBlock(program->device());
    device_memory[i].reserve(dense_bytes(inputs[i]) + 1);
    program->device()->upload(device_memory[i].data(), memory[i].data(), dense_bytes(inputs[i]));
    inputs[i].data = device_memory[i].data();
  }
  KeptSink sink(program->outputs().size());
  const RunOptions run{cancelled, kDefaultIterations};
  Frame frame(program, *pool, false);
  for (int i = 0; i < 2; ++i) frame.run(inputs, {}, sink, run);

  if (program->device()) {
    auto times = device_times(frame, options, run);
    if (!times.empty()) return times;
  }
  std::vector<double> times;
  int64_t total = 0;
  while (times.empty() || (total < options.min_nanoseconds && static_cast<int64_t>(times.size()) < options.max_runs)) {
    const auto started = std::chrono::steady_clock::now();
    frame.run(inputs, {}, sink, run);
    const auto spent =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - started).count();
    times.push_back(static_cast<double>(spent));
    total += spent;
  }
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace tw
