#include "executor/context.h"

#include <cstring>

#include "executor/layout.h"

namespace tw {
namespace {

// What a run loses whose event loop sleeps, because the run needs all cores.
constexpr auto kWakeUp = std::chrono::microseconds(15);

class SlotSink : public OutputSink {
 public:
  SlotSink(const Program& program, std::span<OutputSlot> slots, std::shared_ptr<SpareBlocks> spare)
      : program_(program), slots_(slots), spare_(std::move(spare)) {}

  std::byte* place(size_t output, DType dtype, std::span<const int64_t> dims, size_t bytes) override {
    OutputSlot& slot = slots_[output];
    slot.tensor.dtype = dtype;
    set_dense(slot.tensor, dims, {}, "an output");
    const ProgramValue& v = program_.values()[static_cast<size_t>(program_.outputs()[output])];
    if (slot.fixed && slot.dtype != dtype)
      throw Error(Code::kDTypeMismatch, "output " + v.name + " is " + std::string(info(dtype).name) +
                                            ", the memory for it " + std::string(info(slot.dtype).name));
    if (slot.fixed && slot.fixed_bytes != bytes) {
      throw Error(Code::kShapeMismatch, "output " + v.name + " is " + std::string(info(dtype).name) +
                                            dims_text(slot.tensor) + ", " + std::to_string(bytes) +
                                            " bytes; the memory for it has " + std::to_string(slot.fixed_bytes));
    }
    if (slot.device_memory && !v.only_transferred) slot.deferred = true;
    if (slot.fixed && !slot.deferred) {
      slot.tensor.data = slot.fixed;
    } else {
      slot.spare = spare_;
      if (slot.block.capacity() < bytes || !slot.block.data()) slot.block = spare_->take(bytes);
      slot.tensor.data = slot.block.data();
    }
    return slot.tensor.as<std::byte>();
  }

  const DeviceMemory* device_memory(size_t output) const override {
    const OutputSlot& slot = slots_[output];
    return slot.fixed && !slot.deferred ? slot.device_memory.get() : nullptr;
  }

  void deliver() {
    for (OutputSlot& slot : slots_) {
      if (!slot.deferred || slot.tensor.rank < 0) continue;
      if (slot.device_memory) slot.device_memory->device->upload(slot.fixed, slot.block.data(), slot.fixed_bytes);
      else if (slot.fixed_bytes) std::memcpy(slot.fixed, slot.block.data(), slot.fixed_bytes);
      slot.tensor.data = slot.fixed;
    }
  }

 private:
  const Program& program_;
  std::span<OutputSlot> slots_;
  std::shared_ptr<SpareBlocks> spare_;
};

}  // namespace

void check_device(const Program& program, const DeviceMemory& memory) {
  if (program.device() && memory.device != program.device())
    throw Error(Code::kInvalidArgument, "a device buffer lies on device " + std::to_string(memory.device->index()) +
                                            ", the engine runs on device " + std::to_string(program.device()->index()));
}

namespace {

void prepare(const Program& program, std::span<const Tensor> inputs, std::span<OutputSlot> outputs) {
  if (outputs.size() != program.outputs().size())
    throw Error(Code::kInvalidArgument, "expected " + std::to_string(program.outputs().size()) + " outputs, received " +
                                            std::to_string(outputs.size()));
  for (size_t o = 0; o < outputs.size(); ++o) {
    OutputSlot& slot = outputs[o];
    slot.tensor.rank = -1;
    if (slot.device_memory) check_device(program, *slot.device_memory);
    if (slot.device_memory && program.inputs_read_before(o)) continue;
    for (const Tensor& t : inputs) {
      if (!slot.fixed || t.rank < 0) continue;
      const auto* begin = t.as<std::byte>();
      const auto* end = begin + packed_bytes(t.dtype, t.count());
      slot.deferred = slot.deferred || (slot.fixed < end && begin < slot.fixed + slot.fixed_bytes);
    }
  }
}

}  // namespace

struct Context::Session {
  Session(const Program& program, std::vector<Tensor> in, std::vector<Block> blocks,
          std::vector<std::shared_ptr<DeviceMemory>> kept, std::shared_ptr<SpareBlocks> spare)
      : inputs(std::move(in)),
        owned(std::move(blocks)),
        memories(std::move(kept)),
        outputs(program.outputs().size()),
        sink(program, outputs, std::move(spare)) {}
  std::vector<Tensor> inputs;
  std::vector<Block> owned;
  std::vector<std::shared_ptr<DeviceMemory>> memories;
  std::vector<OutputSlot> outputs;
  SlotSink sink;
};

Context::Context(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool, FrameOptions options)
    : program_(std::move(program)),
      pool_(std::move(pool)),
      fork_choice_(!program_->device() && pool_->threads() > 1,
                   default_threads() > pool_->threads() ? ForkChoice::Duration::zero() : kWakeUp),
      frame_(program_, *pool_, options),
      session_(nullptr, [](Session* s) { delete s; }) {}

void Context::run(std::span<const Tensor> inputs, std::span<OutputSlot> outputs, const std::atomic<bool>& cancelled,
                  int64_t max_iterations) {
  if (session_) throw Error(Code::kInvalidArgument, "the context is between begin() and finish()");
  prepare(*program_, inputs, outputs);
  SlotSink sink(*program_, outputs, spare_);
  const auto began = std::chrono::steady_clock::now();
  frame_.run(inputs, {}, sink, {cancelled, max_iterations, fork_choice_.forks() ? nullptr : alone_.get()});
  sink.deliver();
  fork_choice_.took(std::chrono::steady_clock::now() - began);
}

bool Context::leaves_core() const {
  const bool one = program_->device() || !fork_choice_.forks();
  return default_threads() > (one ? 1 : pool_->threads());
}

void Context::begin(std::vector<Tensor> inputs, std::vector<Block> owned,
                    std::vector<std::shared_ptr<DeviceMemory>> memories) {
  if (session_) throw Error(Code::kInvalidArgument, "the context is already between begin() and finish()");
  for (const auto& memory : memories) check_device(*program_, *memory);
  session_.reset(new Session(*program_, std::move(inputs), std::move(owned), std::move(memories), spare_));
  prepare(*program_, session_->inputs, session_->outputs);
  try {
    frame_.start(session_->inputs, {}, session_->sink);
  } catch (...) {
    abandon();
    throw;
  }
}

Context::Session& Context::session() {
  if (!session_) throw Error(Code::kInvalidArgument, "call begin() first");
  return *session_;
}

void Context::run_segment(size_t segment, const std::atomic<bool>& cancelled, int64_t max_iterations) {
  session();
  if (segment >= program_->segments().size())
    throw Error(Code::kInvalidArgument, "there is no segment " + std::to_string(segment));
  const SegmentDescription& s = program_->segments()[segment];
  if (s.backend != kNativeBackend && s.backend != kDeviceBackend)
    throw Error(Code::kInvalidArgument, "segment " + std::to_string(segment) + " runs on '" + s.backend + "'");
  frame_.run_steps(static_cast<size_t>(s.begin), static_cast<size_t>(s.end), {cancelled, max_iterations});
}

ProgramOperand Context::operand(const OperandDescription& d) const {
  const auto index = [](int64_t i, size_t size, const char* of) {
    if (i < 0 || static_cast<uint64_t>(i) >= size)
      throw Error(Code::kInvalidArgument, "there is no " + std::string(of) + " " + std::to_string(i));
    return static_cast<int>(i);
  };
  const auto list = [&](const std::optional<std::vector<int64_t>>& from) {
    std::vector<int> to;
    if (from)
      for (const int64_t e : *from) to.push_back(index(e, program_->expressions().size(), "expression"));
    if (to.size() > kMaxRank) throw Error(Code::kInvalidArgument, "the rank is above " + std::to_string(kMaxRank));
    return to;
  };
  ProgramOperand o;
  o.value = index(d.value, program_->values().size(), "value");
  const ProgramValue& v = program_->values()[static_cast<size_t>(o.value)];
  if (!v.tensor) throw Error(Code::kInvalidArgument, v.name + " is not a tensor the native executor holds");
  if (v.on_device) throw Error(Code::kInvalidArgument, v.name + " lies on a device");
  if (d.offset) o.offset = index(*d.offset, program_->expressions().size(), "expression");
  o.dims = list(d.dims);
  o.strides = list(d.strides);
  o.has_dims = d.dims.has_value();
  o.has_strides = d.strides.has_value();
  if (o.view() && !o.has_dims && v.rank < 0)
    throw Error(Code::kInvalidArgument, "a view of a value of unknown rank needs dims");
  if (o.has_strides && o.strides.size() != (o.has_dims ? o.dims.size() : v.dims.size()))
    throw Error(Code::kInvalidArgument, "expected one stride for each dimension");
  return o;
}

Tensor Context::view(const OperandDescription& d) {
  session();
  const Tensor tensor = frame_.view(operand(d));
  // Of an input that the caller has on a device.
  if (tensor.on_device) throw Error(Code::kInvalidArgument, "value " + std::to_string(d.value) + " lies on a device");
  return tensor;
}

void Context::write(const OperandDescription& d, const Tensor& tensor) {
  session();
  if (tensor.on_device) throw Error(Code::kInvalidArgument, "a device buffer cannot be written into a value");
  frame_.write(operand(d), tensor);
}

std::vector<OutputSlot> Context::finish() {
  Session& s = session();
  const auto done = std::move(session_);
  frame_.finish();
  s.sink.deliver();
  return std::move(s.outputs);
}

}  // namespace tw
