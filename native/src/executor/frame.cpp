#include "executor/frame.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "executor/control.h"
#include "executor/guard.h"
#include "executor/layout.h"
#include "executor/poison.h"

namespace tw {

Frame::Frame(std::shared_ptr<const Program> program, ThreadPool& pool, FrameOptions options,
             std::shared_ptr<DeviceQueue> queue)
    : program_(std::move(program)), pool_(pool), frame_options_(options) {
  const Program& p = *program_;
  expressions_.resize(p.expressions().size());
  dims_elements_.resize(p.dims_elements());
  values_.resize(p.values().size());
  capacity_.resize(p.values().size());
  known_.resize(p.values().size());
  blocks_.resize(p.values().size());
  tensors_.resize(p.tensors());
  placed_.resize(p.outputs().size());
  outputs_.resize(p.outputs().size());
  control_.resize(p.steps().size());
  for (size_t i = 0; i < p.values().size(); ++i)
    if (p.values()[i].dynamic) dynamic_values_.push_back(i);
  for (size_t i = 0; i < p.symbols().size(); ++i)
    if (!p.start_symbol(static_cast<int>(i))) late_symbols_.push_back(i);
  if (options.poison) poison_ranges_ = poison_ranges(p, false);
  if (!p.device()) return;
  // What a body leaves for the host is read as soon as it has run.
  waits_ = !queue || p.host_results();
  queue_ = queue ? std::move(queue) : p.device()->make_queue();
  for (DeviceBlock* block : {&device_arena_, &device_static_heap_, &device_workspace_}) *block = DeviceBlock(p.device());
  device_blocks_.resize(p.values().size());
  if (options.poison) device_poison_ranges_ = poison_ranges(p, true);
  exchanged_.resize(p.exchanges().size());
  homes_.resize(p.exchanges().size());
  skipped_.resize(p.steps().size());
  histories_.resize(p.late().size());
}

// Its memory goes, which a run that failed may have left work on.
Frame::~Frame() {
  if (queue_) queue_->drain();
}

void Frame::start(std::span<const Tensor> inputs, std::span<const int64_t> enclosing, OutputSink& sink) {
  const Program& p = *program_;
  if (inputs.size() != p.inputs().size())
    throw Error(Code::kInvalidArgument,
                "expected " + std::to_string(p.inputs().size()) + " inputs, received " + std::to_string(inputs.size()));
  sink_ = &sink;
  if (queue_) queue_->enter();
  std::fill(placed_.begin(), placed_.end(), 0);
  release_dynamic_heap();
  const bool again = resolved_ && same_inputs(inputs, enclosing);
  if (!again) {
    resolved_ = false;
    std::fill(known_.begin(), known_.end(), 0);
    bind_inputs(inputs, enclosing);
    for (const AgreementDescription& a : p.agreements()) check(a);
    resolve(inputs);
  } else {
    for (const size_t s : late_symbols_) symbols_[s] = kUnbound;
    for (const size_t v : dynamic_values_) known_[v] = 0;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    Tensor& value = values_[static_cast<size_t>(p.inputs()[i])];
    value.data = inputs[i].data ? inputs[i].data : no_elements();
    value.on_device = inputs[i].on_device || p.values()[static_cast<size_t>(p.inputs()[i])].on_device;
  }
  for (const int v : p.outputs()) {
    const ProgramValue& value = p.values()[static_cast<size_t>(v)];
    if (value.direct_output >= 0 && !value.dynamic && !placed_[static_cast<size_t>(value.direct_output)])
      values_[static_cast<size_t>(v)].data = memory_for(static_cast<size_t>(v));
  }
  if (!p.exchanges().empty()) exchange(inputs);
  apply_patches();
  roaming_.clear();
  for (const int v : p.roaming()) roaming_.push_back(values_[static_cast<size_t>(v)].as<std::byte>());
  if (!again) {
    for (const ProgramStep& step : p.steps()) {
      if (step.dynamic) continue;
      try {
        prepare_kernel(step);
      } catch (const Error& e) {
        throw Error(e.code, step.name + ": " + e.what());
      }
    }
    resolved_ = true;
  }
}

void Frame::apply_patches() {
  for (const Patch& patch : patches_) {
    tensors_[patch.tensor].data = values_[patch.value].as<std::byte>() + patch.offset;
    tensors_[patch.tensor].on_device = values_[patch.value].on_device;
  }
}

void Frame::run_steps(size_t begin, size_t end, const RunOptions& options) {
  options_ = &options;
  KernelContext context{options.pool ? *options.pool : pool_, *this, workspace_.data(), options.cancelled, queue_.get()};
  if (queue_) queue_->enter();
  try {
    for (size_t s = begin; s < end;) {
      if (options.cancelled.load(std::memory_order_relaxed)) throw Error(Code::kAborted, "the run was cancelled");
      const int range = program_->steps()[s].range, late = program_->steps()[s].late_range;
      const size_t range_end = range < 0 ? 0 : program_->recordable()[static_cast<size_t>(range)].end;
      const size_t late_end = late < 0 ? 0 : program_->late()[static_cast<size_t>(late)].end;
      if (range >= 0 && range_end <= end && run_recorded(static_cast<size_t>(range), context)) {
        s = range_end;
      } else if (late >= 0 && late_end <= end && run_late(static_cast<size_t>(late), context)) {
        s = late_end;
      } else {
        run_named(s++, context);
      }
    }
    if (waits_) wait_for_device();
  } catch (...) {
    // Queued copies may still touch memory of the caller.
    try {
      wait_for_device();
    } catch (const Error&) {
    }
    // Steps that have not run yet must do so before they are recorded.
    std::erase_if(recorded_, [](const Recorded& r) {
      return std::any_of(r.ranges.begin(), r.ranges.end(), [](const auto& range) { return !range.recording; });
    });
    for (LateHistory& history : histories_) history.seen.clear();
    throw;
  }
  // A kernel that saw the flag has left its output unfinished.
  if (options.cancelled.load(std::memory_order_relaxed)) throw Error(Code::kAborted, "the run was cancelled");
}

// Errors carry the step's name.
void Frame::run_named(size_t s, KernelContext& context) {
  if (!skipped_.empty() && skipped_[s]) return;
  const ProgramStep& step = program_->steps()[s];
  step_ = s;
  try {
    if (!profiling_) return run_step(step, context);
    const auto started = std::chrono::steady_clock::now();
    const QueueCounts before = queue_ ? queue_->counts() : QueueCounts{};
    const auto count = [&] {
      if (!queue_) return;
      profile_[s].waits += queue_->counts().waits - before.waits;
      profile_[s].copied += queue_->counts().copied - before.copied;
    };
    double spent;
    if (step.on_device) {
      queue_->mark(0);
      run_step(step, context);
      count();
      queue_->mark(1);
      queue_->synchronize();
      spent = queue_->nanoseconds(0, 1);
    } else {
      run_step(step, context);
      count();
      spent = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - started).count();
    }
    profile_[s].calls += 1;
    profile_[s].nanoseconds += static_cast<uint64_t>(spent);
  } catch (const Error& e) {
    throw Error(e.code, e.code == Code::kAborted ? e.what() : step.name + ": " + e.what());
  } catch (const std::bad_alloc&) {
    throw Error(Code::kOutOfMemory, step.name + ": out of memory");
  }
}

void Frame::run_step(const ProgramStep& step, KernelContext& context) {
  if (step.kind == StepKind::kForeign) throw Error(Code::kInvalidArgument, "runs on another backend");
  // Conditions and trip counts are the host's.
  if (!step.on_device || step.kind == StepKind::kIf || step.kind == StepKind::kLoop) wait_for_device();
  if (step.dynamic) {
    resolve_step(step, false);
    prepare_kernel(step);
  }
  context.workspace = step.on_device ? device_workspace_.data() : workspace_.data();
  context.room = step.on_device ? device_workspace_.capacity() : 0;
  if (frame_options_.poison && workspace_.data()) std::fill_n(workspace_.data(), workspace_.capacity(), std::byte{0xFF});
  device_busy_ = device_busy_ || step.on_device;
  if (step.kind == StepKind::kKernel) {
    if (frame_options_.guards && !step.plugin.empty())
      run_guarded(step, context);
    else
      step.kernel->run(context, inputs_of(step), outputs_of(step));
  } else {
    auto& state = control_[step_];
    if (!state) state = std::make_unique<ControlState>(step, *this);
    state->run(inputs_of(step), outputs_of(step));
  }
  if (step.dynamic) {
    for (size_t k = 0; k < step.outputs.size(); ++k) {
      if (step.outputs[k].value < 0) continue;
      const auto value = static_cast<size_t>(step.outputs[k].value);
      if (!known_[value]) throw Error(Code::kInternal, program_->values()[value].name + " was left without a shape");
      if (!program_->values()[value].binds.empty()) learn(value, dims_of(values_[value]));
    }
    for (const int v : step.dying_heap) heap_.give(std::move(blocks_[static_cast<size_t>(v)]));
    discarded_.clear();
  }
  if (frame_options_.poison) poison_dead();
}

void Frame::finish() {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const auto value = static_cast<size_t>(program_->outputs()[i]);
    const ProgramValue& v = program_->values()[value];
    outputs_[i].rank = -1;
    if (!v.tensor) continue;
    if (v.dynamic && !ensure_known(value)) throw Error(Code::kInternal, "output " + v.name + " was never computed");
    outputs_[i] = values_[value];
    if (placed_[i]) continue;
    placed_[i] = 1;
    Tensor& out = outputs_[i];
    out.set_row_major();
    out.data = sink_->place(i, out.dtype, dims_of(out), dense_bytes(out));
    if (v.on_device) {
      device_busy_ = true;
      queue_->copy(out.data, values_[value].data, dense_bytes(out));
    } else {
      copy_elements(values_[value], out);
    }
  }
  heap_.end_run();
}

void Frame::wait_for_device() {
  if (!device_busy_) return;
  device_busy_ = false;
  queue_->synchronize();
}

bool Frame::grow(DeviceBlock& block, size_t bytes) {
  if (bytes <= block.capacity()) return false;
  if (block.data()) wait_for_device();
  return block.reserve(bytes);
}

void Frame::release_dynamic_heap() {
  for (const size_t v : dynamic_values_)
    if (blocks_[v].data()) heap_.give(std::move(blocks_[v]));
}

void Frame::allocate(size_t index, std::span<const int64_t> dims) {
  const ProgramStep& step = program_->steps()[step_];
  if (index >= step.outputs.size()) throw Error(Code::kInternal, "there is no output " + std::to_string(index));
  Tensor& t = outputs_of(step)[index];
  const ProgramOperand& operand = step.outputs[index];
  if (operand.value < 0) {
    constexpr size_t kLargestElement = 16;
    set_dense(t, dims, {}, "an omitted output");
    if (step.on_device) throw Error(Code::kInternal, "steps of a device have no outputs of unknown shape");
    discarded_.emplace_back(static_cast<size_t>(t.count()) * kLargestElement);
    t.data = discarded_.back().data();
    return;
  }
  const auto value = static_cast<size_t>(operand.value);
  const ProgramValue& v = program_->values()[value];
  learn(value, dims);
  if (t.rank >= 0) return;
  if (!v.order.empty())
    throw Error(Code::kInvalidPlan, v.name + ": only the run knows its shape, which then is row-major");
  know(value, dims);
  values_[value].data = memory_for(value);
  t = values_[value];
  if (guards_) guards_->take_output(index, t, {});
}

Tensor& Frame::place_output(size_t index, std::span<const int64_t> dims) {
  Tensor& t = outputs_of(program_->steps()[step_])[index];
  if (t.rank < 0) allocate(index, dims);
  if (!same_dims(t, dims))
    throw Error(Code::kShapeMismatch,
                "output " + std::to_string(index) + " is " + dims_text(dims) + ", expected " + dims_text(t));
  return t;
}

int64_t Frame::planned_extent(const ProgramOperand& operand, size_t axis) const {
  if (operand.value < 0) return -1;
  const std::vector<int>& dims =
      operand.has_dims ? operand.dims : program_->values()[static_cast<size_t>(operand.value)].dims;
  if (axis >= dims.size()) return -1;
  const int64_t n = evaluate(dims[axis]);
  return n == kUnbound ? -1 : n;
}

Tensor Frame::view(const ProgramOperand& operand) { return resolve(operand, false, nullptr); }

void Frame::write(const ProgramOperand& operand, const Tensor& tensor) {
  const auto value = static_cast<size_t>(operand.value);
  const ProgramValue& v = program_->values()[value];
  if (!v.tensor || (v.storage != Storage::kArena && v.storage != Storage::kHeap))
    throw Error(Code::kInvalidArgument, v.name + " cannot be written");
  if (tensor.dtype != v.dtype)
    throw Error(Code::kDTypeMismatch, v.name + " is " + std::string(info(v.dtype).name) + ", received " +
                                          std::string(info(tensor.dtype).name));
  Tensor target = resolve(operand, true, nullptr);
  if (target.rank < 0) {
    learn(value, dims_of(tensor));
    know(value, dims_of(tensor));
    values_[value].data = memory_for(value);
    target = values_[value];
  } else if (!same_dims(target, dims_of(tensor))) {
    throw Error(Code::kShapeMismatch, v.name + " is " + dims_text(target) + ", received " + dims_text(tensor));
  } else if (!v.binds.empty()) {
    learn(value, dims_of(values_[value]));
  }
  copy_elements(tensor, target);
}

void Frame::set_profiling(bool on) {
  profiling_ = on;
  if (on) profile_.resize(program_->steps().size());
}

MemoryUse Frame::memory() const {
  MemoryUse use{arena_.capacity() + device_arena_.capacity(),
                static_heap_.capacity() + device_static_heap_.capacity() + heap_.bytes(),
                workspace_.capacity() + device_workspace_.capacity(),
                device_arena_.capacity() + device_static_heap_.capacity() + device_workspace_.capacity(),
                queue_ ? queue_->staging_bytes() : 0,
                late_.size()};
  for (const Recorded& r : recorded_)
    use.recordings += static_cast<size_t>(
        std::count_if(r.ranges.begin(), r.ranges.end(), [](const auto& range) { return range.recording != nullptr; }));
  for (const DeviceBlock& block : device_blocks_) {
    use.heap += block.capacity();
    use.device += block.capacity();
  }
  for (const Block& block : blocks_) use.heap += block.capacity();
  for (const auto& state : control_)
    if (state) state->add_memory(use);
  return use;
}

}  // namespace tw
