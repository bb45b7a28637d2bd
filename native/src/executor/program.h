// A checked and compiled plan program: kernels made, operands and liveness known. Shared by every frame that runs it.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/kernel.h"
#include "executor/description.h"
#include "executor/device.h"
#include "executor/weights.h"

namespace tw {

// The backends whose segments this executor runs: on the processor, and on a device with a memory of its own.
constexpr std::string_view kNativeBackend = "cpu", kDeviceBackend = "cuda";

// What computes a step: a kernel, a control construct with programs of its own, or somebody else.
enum class StepKind : uint8_t { kKernel, kIf, kLoop, kScan, kForeign };

struct ProgramValue {
  std::string name;     // for messages
  bool tensor = false;  // has a dtype and numbers the executor can hold
  DType dtype = DType::kFloat32;
  int rank = -1;              // -1: only the run knows
  std::vector<int> dims;      // expressions
  std::vector<int8_t> order;  // empty: row-major
  Storage storage = Storage::kObject;
  bool on_device = false;
  // Only transfers read or write it: it may be in the caller's memory on a device.
  bool only_transferred = true;
  size_t index = 0, offset = 0, bytes = 0;
  size_t device_offset = 0;  // of a constant among those of the device
  std::vector<int> elements;               // expressions, of kDims
  size_t elements_at = 0;                  // where in a frame's buffer they go
  std::vector<std::pair<int, int>> binds;  // axis, symbol
  // Its shape, address or contents are only known once steps have run.
  bool dynamic = false;
  int first_step = -1, last_step = -1;  // that touch it; an output of the program is touched after the last one
  // The program output computed in place, in memory of whoever wants it; -1 for none.
  int direct_output = -1;
  bool exchangeable = false;  // an Exchange names it
};

struct ProgramOperand {
  int value = -1;   // -1: omitted
  int offset = -1;  // an expression, -1: 0
  bool has_dims = false, has_strides = false;
  std::vector<int> dims, strides;
  bool view() const { return offset >= 0 || has_dims || has_strides; }
};

class Program;

struct ProgramStep {
  StepKind kind = StepKind::kForeign;
  std::string name;    // for messages
  std::string plugin;  // whose code it is; empty: ours
  bool on_device = false;
  std::unique_ptr<Kernel> kernel;
  Attributes attributes;
  std::vector<ProgramOperand> inputs, outputs;
  std::vector<std::shared_ptr<const Program>> programs;
  size_t first_tensor = 0;  // of inputs, then outputs, in a frame's flat list
  // Resolved when reached, in every run, because an operand depends on what earlier steps find out.
  bool dynamic = false;
  bool binds = false;
  std::vector<int> dying_heap;  // dynamic heap values nobody reads after this step
  int range = -1;               // of the recordable ones, that begins here
  int late_range = -1;          // of the late ones, likewise
};

// Steps of the device in a row whose operands stay where they are from run to run: they are recorded as one piece.
struct RecordableSteps {
  size_t begin, end;
};

// Steps of the device in a row of which some wait for extents that the run finds out; once those are known, the run
// finds out no more before the last of them. They do the same where the same symbols have the same values, and memory
// has not moved.
struct LateSteps {
  size_t begin, end;
  std::vector<int> values;   // that they touch, constants left out
  std::vector<int> symbols;  // that those and their views depend on
};

// A whole value of the device that transfers carry from an input, to an output, or both. Where the caller's memory for
// that is the device's own, it can take the place of the value's, and nothing needs to be carried.
struct Exchange {
  size_t value;
  int input = -1, output = -1;             // at least one of them
  size_t input_step = 0, output_step = 0;  // the transfers
  bool changed = false;  // steps change what was carried in
  // And nothing reads the input once they do: where input and output are the same memory, they change it there.
  bool in_place = false;
};

class Program {
 public:
  // Throws kInvalidPlan naming the field.
  // `device`: the index of the one that steps of a device run on. `body`: of a control step, whose outputs may lie in
  // the device's memory.
  static std::shared_ptr<const Program> create(ProgramDescription description, std::shared_ptr<const Weights> weights,
                                               int device = 0, bool body = false);

  std::span<const SymbolDescription> symbols() const { return symbols_; }
  std::span<const std::pair<int, int>> inherits() const { return inherits_; }
  std::span<const Expression> expressions() const { return expressions_; }
  // Of extents that the inputs' dims and inherited symbols decide.
  std::span<const AgreementDescription> agreements() const { return agreements_; }
  // Of extents with this symbol, which steps bind, and with others perhaps that have no value yet.
  std::span<const AgreementDescription> agreements_of(size_t symbol) const { return late_agreements_[symbol]; }
  bool static_expression(int e) const { return static_expression_[static_cast<size_t>(e)]; }
  bool start_symbol(int s) const { return start_symbol_[static_cast<size_t>(s)]; }
  std::span<const ProgramValue> values() const { return values_; }
  std::span<const int> inputs() const { return inputs_; }
  std::span<const int> outputs() const { return outputs_; }
  std::span<const ProgramStep> steps() const { return steps_; }
  std::span<const SegmentDescription> segments() const { return segments_; }
  bool native() const { return native_; }  // nothing is left to other backends
  const std::shared_ptr<Device>& device() const { return device_; }  // null: all runs on the processor
  std::span<const RecordableSteps> recordable() const { return recordable_; }
  std::span<const LateSteps> late() const { return late_; }
  std::span<const Exchange> exchanges() const { return exchanges_; }
  // Values in the device's memory that the caller places anew for each run: inputs, and outputs of known shape.
  std::span<const int> roaming() const { return roaming_; }
  // Whether all inputs that may lie on the device have been read before the output is first written. Only of outputs
  // that transfers write.
  bool inputs_read_before(size_t output) const {
    const ProgramValue& v = values_[static_cast<size_t>(outputs_[output])];
    return v.only_transferred && v.first_step > last_input_read_;
  }
  // Whether steps make an output that lies in the host's memory.
  bool host_results() const { return host_results_; }
  // Of the device's memory: constants, which all frames share.
  size_t device_constant_bytes() const { return device_constants_.capacity(); }
  const std::byte* device_constants() const { return device_constants_.data(); }
  size_t arena_bytes() const { return arena_bytes_; }
  size_t device_arena_bytes() const { return device_arena_bytes_; }
  size_t tensors() const { return tensors_; }
  size_t dims_elements() const { return dims_elements_; }
  // Kernels take inputs and outputs alike; nobody writes to a constant.
  std::byte* constant_data(const ProgramValue& value) const {
    if (value.on_device && value.bytes) return device_constants_.data() + value.device_offset;
    return weights_ && value.bytes ? const_cast<std::byte*>(weights_->data()) + value.offset : no_elements();
  }

 private:
  friend class ProgramCompiler;
  Program() = default;

  std::shared_ptr<const Weights> weights_;
  std::vector<SymbolDescription> symbols_;
  std::vector<std::pair<int, int>> inherits_;
  std::vector<Expression> expressions_;
  std::vector<AgreementDescription> agreements_;
  std::vector<std::vector<AgreementDescription>> late_agreements_;  // by symbol
  std::vector<char> static_expression_;  // known from the inputs' dims and inherited symbols alone
  std::vector<char> start_symbol_;       // bound before the first step
  std::vector<ProgramValue> values_;
  std::vector<int> inputs_, outputs_;
  std::vector<ProgramStep> steps_;
  std::vector<SegmentDescription> segments_;
  bool native_ = true;
  std::shared_ptr<Device> device_;
  DeviceBlock device_constants_;
  std::vector<RecordableSteps> recordable_;
  std::vector<LateSteps> late_;
  std::vector<Exchange> exchanges_;
  std::vector<int> roaming_;
  bool host_results_ = false;
  int last_input_read_ = -1;  // of inputs that only transfers read
  size_t arena_bytes_ = 0, device_arena_bytes_ = 0, tensors_ = 0, dims_elements_ = 0;
};

}  // namespace tw
