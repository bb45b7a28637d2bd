// The steps of a program: who runs them, what they read and write, and what of that only the run knows.
#include <algorithm>
#include <utility>

#include "executor/layout.h"
#include "executor/program_compiler.h"

namespace tw {

namespace {

StepKind kind_of(const std::string& kernel) {
  if (kernel == "if") return StepKind::kIf;
  if (kernel == "loop") return StepKind::kLoop;
  if (kernel == "scan") return StepKind::kScan;
  return StepKind::kKernel;
}

// Whose code a step runs, 'acme::Scale 1'; empty: ours.
std::string plugin_of(const std::string& kernel, const Attributes& attributes) {
  if (kernel != "plugin") return attributes.string("plugin");
  const std::string space = attributes.string("namespace");
  return (space.empty() ? "" : space + "::") + attributes.string("name") + ' ' + attributes.string("version");
}

}  // namespace

void ProgramCompiler::segments() {
  Program& p = *program_;
  p.segments_ = std::move(from_.segments);
  p.steps_.resize(from_.steps.size());
  int64_t end = 0;
  for (size_t i = 0; i < p.segments_.size(); ++i) {
    const SegmentDescription& s = p.segments_[i];
    if (s.begin != end || s.end < s.begin)
      invalid(at("segments", i), "expected to begin at step " + std::to_string(end));
    if (static_cast<uint64_t>(s.end) > p.steps_.size()) invalid(at("segments", i) + ".end", "beyond the last step");
    end = s.end;
    const bool on_device = s.backend == kDeviceBackend;
    if (s.backend != kNativeBackend && !on_device) p.native_ = false;
    if (on_device && !p.device_) p.device_ = open_device(device_);
    for (int64_t k = s.begin; k < s.end; ++k) {
      ProgramStep& step = p.steps_[static_cast<size_t>(k)];
      step.on_device = on_device;
      step.kind = on_device || s.backend == kNativeBackend ? kind_of(from_.steps[static_cast<size_t>(k)].kernel)
                                                           : StepKind::kForeign;
    }
  }
  if (static_cast<size_t>(end) != p.steps_.size()) invalid("segments", "step " + std::to_string(end) + " is in none");
}

ProgramOperand ProgramCompiler::operand(const std::optional<OperandDescription>& d, const std::string& where, bool native) {
  ProgramOperand o;
  if (!d) return o;
  o.value = index_in(d->value, program_->values_.size(), where + ".value", "values");
  const ProgramValue& v = program_->values_[static_cast<size_t>(o.value)];
  if (native && !v.tensor) invalid(where + ".value", v.name + " is not a tensor the native executor holds");
  if (d->offset) o.offset = expressions({*d->offset}, where + ".offset")[0];
  if (d->dims) o.dims = expressions(*d->dims, where + ".dims");
  if (d->strides) o.strides = expressions(*d->strides, where + ".strides");
  o.has_dims = d->dims.has_value();
  o.has_strides = d->strides.has_value();
  const size_t rank = o.has_dims ? o.dims.size() : v.dims.size();
  if (rank > kMaxRank) invalid(where + ".dims", "a rank above " + std::to_string(kMaxRank));
  if (o.view() && !o.has_dims && v.rank < 0) invalid(where, "a view of a value of unknown rank needs dims");
  if (o.has_strides && o.strides.size() != rank) invalid(where + ".strides", "expected one for each dimension");
  return o;
}

void ProgramCompiler::operands(size_t i) {
  ProgramStep& step = program_->steps_[i];
  StepDescription& from = from_.steps[i];
  const std::string where = at("steps", i);
  const bool native = step.kind != StepKind::kForeign;
  step.name =
      "step " + std::to_string(i) + " (" + from.kernel + (from.layer.empty() ? "" : " '" + from.layer + "'") + ")";
  step.attributes = std::move(from.attributes);
  if (step.kind == StepKind::kKernel) step.plugin = plugin_of(from.kernel, step.attributes);
  step.first_tensor = program_->tensors_;
  program_->tensors_ += from.inputs.size() + from.outputs.size();
  for (size_t k = 0; k < from.inputs.size(); ++k) {
    const std::string input = where + '.' + at("inputs", k);
    step.inputs.push_back(operand(from.inputs[k], input, native));
    const int v = step.inputs.back().value;
    if (v < 0) continue;
    ProgramValue& value = program_->values_[static_cast<size_t>(v)];
    memory(step, from.kernel, value, k < host_inputs(from.kernel), input);
    const bool made = value.storage == Storage::kArena || value.storage == Storage::kHeap;
    if (made && value.first_step < 0 && native)
      invalid(input + ".value", value.name + " is read before a step writes it");
    touch(value, i);
  }
  for (size_t k = 0; k < from.outputs.size(); ++k) {
    const std::string output = where + '.' + at("outputs", k);
    step.outputs.push_back(operand(from.outputs[k], output, native));
    const int v = step.outputs.back().value;
    if (v < 0) continue;
    ProgramValue& value = program_->values_[static_cast<size_t>(v)];
    if (value.storage == Storage::kInput || value.storage == Storage::kConstant || value.storage == Storage::kDims)
      invalid(output + ".value",
              value.name + " cannot be written: it is an input, a constant or a tensor of dimensions");
    memory(step, from.kernel, value, false, output);
    touch(value, i);
    step.binds = step.binds || !value.binds.empty();
  }
}

// Steps touch their own memory, but for transfers and for what is read on the host: the numbers of a step, and the code of a launch.
void ProgramCompiler::memory(const ProgramStep& step, const std::string& kernel, ProgramValue& value, bool leading,
                   const std::string& where) {
  if (step.on_device && kernel == "transfer") return;
  value.only_transferred = false;
  if (value.on_device != (step.on_device && !leading))
    invalid(where + ".value", value.name + " lies in the other memory");
}

// A launch begins with its code and its numbers, calls of libraries and extents with their numbers, control steps with
// a condition and a trip count.
size_t ProgramCompiler::host_inputs(const std::string& kernel) {
  if (kernel == "launch" || kernel == "loop") return 2;
  return kernel == "cublaslt" || kernel == "cudnn" || kernel == "extents" || kernel == "if" ? 1 : 0;
}

void ProgramCompiler::touch(ProgramValue& value, size_t step) {
  if (value.first_step < 0) value.first_step = static_cast<int>(step);
  value.last_step = static_cast<int>(step);
}

void ProgramCompiler::liveness() {
  for (size_t i = 0; i < program_->outputs_.size(); ++i) {
    ProgramValue& v = program_->values_[static_cast<size_t>(program_->outputs_[i])];
    // What comes from a device goes where it is wanted, wherever the plan has a place for it.
    if (v.storage == Storage::kArena && v.tensor && v.order.empty() && (v.only_transferred || v.on_device) &&
        v.direct_output < 0)
      v.direct_output = static_cast<int>(i);
    // It is delivered in place, or copied by the host.
    if (v.storage == Storage::kInput || v.direct_output != static_cast<int>(i)) v.only_transferred = false;
    if (v.on_device && !body_) invalid(at("outputs", i), "outputs are in the host's memory");
    const bool made = v.storage == Storage::kArena || v.storage == Storage::kHeap;
    program_->host_results_ = program_->host_results_ || (made && !v.on_device);
    if (made && v.tensor && v.first_step < 0) invalid(at("outputs", i), "no step writes " + v.name);
    v.last_step = static_cast<int>(program_->steps_.size());
  }
}

void ProgramCompiler::dynamics() {
  Program& p = *program_;
  const auto late = [&](int e) { return !p.static_expression_[static_cast<size_t>(e)]; };
  for (size_t i = 0; i < p.values_.size(); ++i) {
    ProgramValue& v = p.values_[i];
    if (!v.tensor) continue;
    const bool late_dims = std::any_of(v.dims.begin(), v.dims.end(), late);
    const bool source = v.storage == Storage::kInput || v.storage == Storage::kConstant;
    if (source && late_dims) invalid(at("values", i) + ".dims", "depend on symbols only known later");
    if (v.storage == Storage::kConstant && v.rank < 0)
      invalid(at("values", i) + ".dims", "a constant's shape must be known");
    v.dynamic = !source && (v.rank < 0 || late_dims || std::any_of(v.elements.begin(), v.elements.end(), late));
  }
  for (ProgramStep& step : p.steps_) {
    // Memory for an output nobody reads is found anew each time.
    step.dynamic = step.binds ||
                   std::any_of(step.outputs.begin(), step.outputs.end(), [](const auto& o) { return o.value < 0; });
    for (const auto* list : {&step.inputs, &step.outputs}) {
      for (const ProgramOperand& o : *list) {
        if (o.value < 0) continue;
        step.dynamic = step.dynamic || p.values_[static_cast<size_t>(o.value)].dynamic ||
                       (o.offset >= 0 && late(o.offset)) || std::any_of(o.dims.begin(), o.dims.end(), late) ||
                       std::any_of(o.strides.begin(), o.strides.end(), late);
      }
    }
  }
  for (size_t i = 0; i < p.values_.size(); ++i) {
    const ProgramValue& v = p.values_[i];
    if (v.tensor && v.dynamic && v.storage == Storage::kHeap && v.direct_output < 0 && v.last_step >= 0 &&
        static_cast<size_t>(v.last_step) < p.steps_.size())
      p.steps_[static_cast<size_t>(v.last_step)].dying_heap.push_back(static_cast<int>(i));
  }
}

// What the host reads for it is the plan's, or follows from extents.
bool ProgramCompiler::is_recordable(const ProgramStep& step) const {
  const auto steady = [&](const ProgramOperand& o) {
    if (o.value < 0) return true;
    const ProgramValue& v = program_->values_[static_cast<size_t>(o.value)];
    return v.on_device || v.storage == Storage::kConstant || v.storage == Storage::kDims;
  };
  return step.on_device && step.kernel && step.kernel->recordable() &&
         std::all_of(step.inputs.begin(), step.inputs.end(), steady);
}

void ProgramCompiler::recordable() {
  Program& p = *program_;
  const auto fits = [&](const ProgramStep& s) { return !s.dynamic && is_recordable(s); };
  for (size_t begin = 0; begin < p.steps_.size(); ++begin) {
    if (!fits(p.steps_[begin])) continue;
    size_t end = begin;
    while (end < p.steps_.size() && fits(p.steps_[end])) ++end;
    p.steps_[begin].range = static_cast<int>(p.recordable_.size());
    p.recordable_.push_back({begin, end});
    begin = end;
  }
}

void ProgramCompiler::late() {
  // Fewer are as soon launched as looked up.
  constexpr size_t kLeast = 3;
  Program& p = *program_;
  const auto fits = [&](size_t s) {
    // Of known extents when it is reached: steps before it have bound them.
    const auto given = [&](const ProgramOperand& o) {
      if (o.value < 0) return false;
      const ProgramValue& v = p.values_[static_cast<size_t>(o.value)];
      return v.rank >= 0 && (v.binds.empty() || v.first_step < static_cast<int>(s));
    };
    const auto& outputs = p.steps_[s].outputs;
    return is_recordable(p.steps_[s]) && std::all_of(outputs.begin(), outputs.end(), given);
  };
  for (size_t begin = 0; begin < p.steps_.size(); ++begin) {
    if (!fits(begin) || !p.steps_[begin].dynamic) continue;
    size_t end = begin;
    while (end < p.steps_.size() && fits(end)) ++end;
    // What follows the last of them is recorded for itself.
    size_t last = end;
    while (!p.steps_[last - 1].dynamic) --last;
    if (last - begin >= kLeast) {
      p.steps_[begin].late_range = static_cast<int>(p.late_.size());
      p.late_.push_back(late_steps(begin, last));
    }
    begin = end;
  }
}

LateSteps ProgramCompiler::late_steps(size_t begin, size_t end) const {
  const Program& p = *program_;
  LateSteps late{begin, end, {}, {}};
  std::vector<char> touched(p.values_.size()), used(p.symbols_.size());
  const auto use = [&](int expression) {
    p.expressions_[static_cast<size_t>(expression)].any_symbol([&](size_t s) {
      if (!std::exchange(used[s], 1)) late.symbols.push_back(static_cast<int>(s));
      return false;
    });
  };
  for (size_t s = begin; s < end; ++s) {
    for (const auto* list : {&p.steps_[s].inputs, &p.steps_[s].outputs}) {
      for (const ProgramOperand& o : *list) {
        if (o.value < 0) continue;
        if (o.offset >= 0) use(o.offset);
        for (const int e : o.dims) use(e);
        for (const int e : o.strides) use(e);
        if (std::exchange(touched[static_cast<size_t>(o.value)], 1)) continue;
        const ProgramValue& v = p.values_[static_cast<size_t>(o.value)];
        for (const int e : v.dims) use(e);
        for (const int e : v.elements) use(e);
        if (v.storage != Storage::kConstant) late.values.push_back(o.value);
      }
    }
  }
  return late;
}

void ProgramCompiler::roaming() {
  Program& p = *program_;
  for (size_t i = 0; i < p.values_.size(); ++i) {
    const ProgramValue& v = p.values_[i];
    if (v.on_device && !v.dynamic && (v.storage == Storage::kInput || v.direct_output >= 0))
      p.roaming_.push_back(static_cast<int>(i));
  }
}

void ProgramCompiler::exchanges() {
  Program& p = *program_;
  std::vector<int> writers(p.values_.size());
  for (const ProgramStep& step : p.steps_)
    for (const ProgramOperand& o : step.outputs)
      if (o.value >= 0) ++writers[static_cast<size_t>(o.value)];
  for (size_t s = 0; s < p.steps_.size(); ++s) {
    const ProgramStep& step = p.steps_[s];
    for (const ProgramOperand& o : step.inputs) {
      if (o.value < 0) continue;
      const ProgramValue& v = p.values_[static_cast<size_t>(o.value)];
      if (v.storage == Storage::kInput && v.only_transferred) p.last_input_read_ = static_cast<int>(s);
    }
    if (!step.on_device || step.dynamic || from_.steps[s].kernel != "transfer") continue;
    if (step.inputs.size() != 1 || step.outputs.size() != 1 || step.inputs[0].view() || step.outputs[0].view()) continue;
    if (step.inputs[0].value < 0 || step.outputs[0].value < 0) continue;
    const ProgramValue& from = p.values_[static_cast<size_t>(step.inputs[0].value)];
    const ProgramValue& to = p.values_[static_cast<size_t>(step.outputs[0].value)];
    if (from.order != to.order || from.dtype != to.dtype || from.dims != to.dims) continue;
    const bool in = from.storage == Storage::kInput && !from.on_device && from.only_transferred;
    const bool out = to.direct_output >= 0 && !to.on_device && to.only_transferred;
    const auto value = static_cast<size_t>(in ? step.outputs[0].value : step.inputs[0].value);
    const ProgramValue& v = p.values_[value];
    const bool made = v.storage == Storage::kArena || v.storage == Storage::kHeap;
    const bool own = v.on_device && made && v.direct_output < 0;
    if (in == out || !own) continue;
    auto e =
        std::find_if(p.exchanges_.begin(), p.exchanges_.end(), [&](const Exchange& x) { return x.value == value; });
    if (e == p.exchanges_.end()) e = p.exchanges_.insert(e, Exchange{.value = value});
    if ((in ? e->input : e->output) >= 0) continue;
    (in ? e->input : e->output) = in ? static_cast<int>(from.index) : to.direct_output;
    (in ? e->input_step : e->output_step) = s;
  }
  // What steps change is not the caller's to be changed, unless it is an output as well.
  std::erase_if(p.exchanges_, [&](const Exchange& e) { return e.output < 0 && writers[e.value] != 1; });
  for (Exchange& e : p.exchanges_) {
    p.values_[e.value].exchangeable = true;
    e.changed = e.input >= 0 && writers[e.value] > 1;
    e.in_place = e.changed && changed_in_place(e);
  }
}

// Whether the transfer comes first among the steps that touch its value, and all that read its input before those that
// change the value.
bool ProgramCompiler::changed_in_place(const Exchange& e) const {
  const Program& p = *program_;
  const int input = p.inputs_[static_cast<size_t>(e.input)];
  bool changed = false;
  if (p.values_[e.value].first_step != static_cast<int>(e.input_step)) return false;
  for (size_t s = 0; s < p.steps_.size(); ++s) {
    const auto touches = [&](const std::vector<ProgramOperand>& list, int value) {
      return std::any_of(list.begin(), list.end(), [&](const ProgramOperand& o) { return o.value == value; });
    };
    changed = changed || (s != e.input_step && touches(p.steps_[s].outputs, static_cast<int>(e.value)));
    if (changed && touches(p.steps_[s].inputs, input)) return false;
  }
  return true;
}

}  // namespace tw
