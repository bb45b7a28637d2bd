// One activation of a program: symbol values, resolved tensors and memory. Used by one thread at a time; what only
// depends on the inputs' dims is kept from run to run.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/kernel.h"
#include "executor/block.h"
#include "executor/heap.h"
#include "executor/program.h"

namespace tw {

// What a frame and the bodies it runs have in common.
struct RunOptions {
  const std::atomic<bool>& cancelled;
  int64_t max_iterations;
  ThreadPool* pool = nullptr;  // instead of the frame's: one of a single thread
};

// Who receives a program's outputs.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  // Memory for dense row-major `output`, asked for once in a run, as soon as its dims are known.
  virtual std::byte* place(size_t output, DType dtype, std::span<const int64_t> dims, size_t bytes) = 0;
  // What place() gives is this memory of a device; null: of the host.
  virtual const DeviceMemory* device_memory(size_t output) const {
    (void)output;
    return nullptr;
  }
  // Whether what place() gives is a device's.
  virtual bool on_device(size_t output) const { return device_memory(output) != nullptr; }
};

struct StepProfile {
  uint64_t calls = 0, nanoseconds = 0;
  uint64_t waits = 0;   // of the host for the device, but for those of measuring
  uint64_t copied = 0;  // bytes: to the device, from it, and within it
};

struct MemoryUse {
  size_t arena = 0, heap = 0, workspace = 0;  // of both memories
  size_t device = 0;                          // what of it is a device's
  size_t staging = 0;                         // of the host, for copies to and from the device
  size_t recordings = 0;                      // how many are kept
};

struct FrameOptions {
  bool poison = false;     // memory nobody may read any more is filled with NaN bytes
  bool recordings = true;  // steps of a device are recorded, and played again
  bool guards = false;     // steps of plugins run between guards; nothing is recorded then
  std::byte* constants = nullptr;  // a copy of the program's constants on the device, to be used instead of them
};

struct DeviceTimes {
  std::vector<double> device;   // nanoseconds of the device for all recordable steps once, a figure a play
  std::vector<double> enqueue;  // nanoseconds the host takes to start a play
  bool complete = false;        // nothing but transfers is left out
};

class ControlState;
class StepGuards;

class Frame : private OutputAllocator {
 public:
  // `queue`: of the frame around this one, which then waits for what both queue; null: one of its own.
  Frame(std::shared_ptr<const Program> program, ThreadPool& pool, FrameOptions options,
        std::shared_ptr<DeviceQueue> queue = nullptr);
  ~Frame() override;

  // Binds the inputs, which must be dense in the order their values have (rank -1: not given), and resolves all that
  // follows from them. Their memory and the sink must stay until finish(). `enclosing`: the symbols of the program
  // around this one.
  void start(std::span<const Tensor> inputs, std::span<const int64_t> enclosing, OutputSink& sink);
  void run_steps(size_t begin, size_t end, const RunOptions& options);
  // Delivers the outputs that are not in place yet.
  void finish();
  void run(std::span<const Tensor> inputs, std::span<const int64_t> enclosing, OutputSink& sink,
           const RunOptions& options) {
    start(inputs, enclosing, sink);
    run_steps(0, program_->steps().size(), options);
    finish();
  }
  // Row-major, where the sink wanted it; after finish().
  const Tensor& output(size_t i) const { return outputs_[i]; }

  // For steps that run elsewhere, between start() and finish().
  Tensor view(const ProgramOperand& operand);
  void write(const ProgramOperand& operand, const Tensor& tensor);

  const Program& program() const { return *program_; }
  std::span<const int64_t> symbols() const { return symbols_; }
  // Times all recordable steps, as one recording of them `repeats` times over, played `plays` times. After a run, with
  // its dims; in memory of the frame's own, since the caller's may be gone. Nothing when there was no run. `turns`: of
  // the same program and queue, and as far; they take turns with this one.
  DeviceTimes device_times(int repeats, int plays, const RunOptions& options, std::span<Frame* const> turns = {});
  // Fills all memory that steps compute in with NaN bytes, between runs.
  void poison_all();
  void set_profiling(bool on);
  std::span<const StepProfile> profile() const { return profile_; }
  MemoryUse memory() const;

  // For control steps.
  ThreadPool& pool() const { return pool_; }
  const FrameOptions& frame_options() const { return frame_options_; }
  const std::shared_ptr<DeviceQueue>& queue() const { return queue_; }
  const RunOptions& options() const { return *options_; }
  // Memory for an output of the running step: where the plan has it, or the allocator's. Not contiguous in general.
  Tensor& place_output(size_t index, std::span<const int64_t> dims);
  bool omitted(size_t output) const { return program_->steps()[step_].outputs[output].value < 0; }
  // The extent the plan gives an axis of an operand, -1 where it is not known yet.
  int64_t planned_extent(const ProgramOperand& operand, size_t axis) const;

 private:
  std::byte* constant_data(const ProgramValue& value) const {
    const bool elsewhere = frame_options_.constants && value.on_device && value.bytes;
    return elsewhere ? frame_options_.constants + value.device_offset : program_->constant_data(value);
  }
  // Makes what device_times records independent of the caller's memory.
  void detach(const RunOptions& options);

  // Whether the device had too little memory for a recording, and has released none since.
  struct Refusal {
    bool happened = false;
    uint64_t releases = 0;
    bool stands(const Device& device) const { return happened && releases == device.releases(); }
  };

  // What was recorded for these dims of the inputs and symbols from around, with these exchanges, and with these
  // inputs and outputs in the device's memory.
  struct Recorded {
    std::vector<int64_t> input_dims, enclosing;
    std::vector<std::byte*> exchanged, roaming;
    struct Range {
      bool ran = false;  // its steps have run once
      Refusal refusal;
      std::shared_ptr<Recording> recording;
    };
    std::vector<Range> ranges;
  };

  // What was recorded of late steps, for these values of their symbols and this memory.
  struct LateRecording {
    size_t range;
    std::vector<int64_t> key;
    std::shared_ptr<Recording> recording;
  };
  // Which late steps are worth recording: those whose extents came before, unless what was recorded came to nothing.
  struct LateHistory {
    std::vector<size_t> seen;  // hashes of keys, of late
    int credit = kMostCredit, idle = 0;
    Refusal refusal;
    static constexpr int kMostCredit = 4, kPause = 256;

    // Whether worth_recording() may say yes, for some key.
    bool considers_recording() const { return credit > 0 || idle + 1 >= kPause; }
    bool worth_recording(size_t hash);
  };

  void allocate(size_t index, std::span<const int64_t> dims) override;

  // resolve.cpp
  bool same_inputs(std::span<const Tensor> inputs, std::span<const int64_t> enclosing) const;
  void bind_inputs(std::span<const Tensor> inputs, std::span<const int64_t> enclosing);
  void check(const AgreementDescription& agreement) const;
  void bind_symbol(int symbol, int64_t extent, const ProgramValue& value, int axis, const char* bounds);
  void resolve(std::span<const Tensor> inputs);
  void place_static_heap();
  int64_t evaluate(int expression) const;
  int64_t require(int expression, const ProgramValue& value) const;
  void fill_dims(const ProgramValue& value);
  void learn(size_t value, std::span<const int64_t> dims);
  void know(size_t value, std::span<const int64_t> dims);
  bool ensure_known(size_t value);
  std::byte* memory_for(size_t value);
  Tensor resolve(const ProgramOperand& operand, bool output, size_t* offset);
  void resolve_step(const ProgramStep& step, bool keep_patches);
  void prepare_kernel(const ProgramStep& step);

  std::span<const Tensor> inputs_of(const ProgramStep& step) const {
    return {tensors_.data() + step.first_tensor, step.inputs.size()};
  }
  std::span<Tensor> outputs_of(const ProgramStep& step) {
    return {tensors_.data() + step.first_tensor + step.inputs.size(), step.outputs.size()};
  }
  void run_step(const ProgramStep& step, KernelContext& context);
  void run_named(size_t step, KernelContext& context);
  void poison_dead();
  void run_guarded(const ProgramStep& step, KernelContext& context);
  // exchange.cpp
  void exchange(std::span<const Tensor> inputs);
  std::vector<std::byte*> wanted_exchanges(std::span<const Tensor> inputs) const;
  void take_places(std::vector<std::byte*> memory);
  void apply_patches();

  Recorded& recorded();
  bool run_recorded(size_t range, KernelContext& context);
  // late.cpp
  bool run_late(size_t range, KernelContext& context);
  std::vector<int64_t> late_key(const LateSteps& steps);
  void keep_late(LateRecording recording);

  bool records() const;
  std::shared_ptr<Recording> record_steps(size_t begin, size_t end, KernelContext& context, Refusal& refusal);
  void forget_recordings();
  void wait_for_device();
  // As DeviceBlock::reserve, once nothing queued can touch the memory that goes.
  bool grow(DeviceBlock& block, size_t bytes);
  void release_dynamic_heap();

  std::shared_ptr<const Program> program_;
  ThreadPool& pool_;
  const FrameOptions frame_options_;

  // Of the last start(), to see whether the next one is the same.
  bool resolved_ = false;
  std::vector<int64_t> input_dims_, enclosing_;

  std::vector<int64_t> symbols_, expressions_, dims_elements_;
  std::vector<Tensor> values_;    // whole values; valid where known_ says so
  std::vector<size_t> capacity_;  // bytes a view of the value may touch
  std::vector<char> known_;
  std::vector<size_t> dynamic_values_, late_symbols_;
  std::vector<Tensor> tensors_;  // operands, step by step
  struct Patch {
    size_t tensor, value, offset;  // in bytes
  };
  std::vector<Patch> patches_;  // operands of static steps on inputs and direct outputs, which move between runs

  // Of the device, where the program has one.
  std::shared_ptr<DeviceQueue> queue_;
  bool waits_ = true;  // at the end of its steps
  DeviceBlock device_arena_, device_static_heap_, device_workspace_;
  std::vector<DeviceBlock> device_blocks_;  // the one each dynamic heap value has
  bool device_busy_ = false;
  std::vector<Recorded> recorded_;      // the ones used last come last
  std::vector<LateRecording> late_;     // likewise
  std::vector<LateHistory> histories_;  // by range of late steps
  // By exchange of the program: memory of the caller's that now takes the value's place; null for none.
  std::vector<std::byte*> exchanged_;
  std::vector<std::byte*> homes_;  // and where the value lies otherwise
  std::vector<std::vector<std::byte*>> seen_exchanges_;  // of late
  std::vector<char> skipped_;      // transfers that an exchange makes needless
  std::vector<std::byte*> roaming_;  // where inputs and outputs on the device are in this run

  Block arena_, static_heap_, workspace_;
  HeapPool heap_;                 // of dynamic values
  std::vector<Block> blocks_;     // the one each dynamic heap value has
  std::vector<Block> discarded_;  // outputs nobody reads
  std::vector<std::vector<std::pair<size_t, size_t>>> poison_ranges_, device_poison_ranges_;

  std::vector<std::unique_ptr<ControlState>> control_;
  std::vector<StepProfile> profile_;
  bool profiling_ = false;

  OutputSink* sink_ = nullptr;
  const RunOptions* options_ = nullptr;
  std::vector<char> placed_;  // outputs the sink was asked about
  std::vector<Tensor> outputs_;
  size_t step_ = 0;  // the one that runs
  StepGuards* guards_ = nullptr;  // of that step
};

}  // namespace tw
