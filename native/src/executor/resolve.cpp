// How a frame gets from its inputs' dims to the tensors its kernels see.
#include <algorithm>

#include "executor/frame.h"
#include "executor/layout.h"

namespace tw {
namespace {

constexpr size_t kHostAlignment = 64, kDeviceAlignment = 256;
constexpr size_t kLeastDynamicBytes = 4096;  // of a device's memory, for a value whose extents the run finds out

std::string text(int64_t n) { return std::to_string(n); }

}  // namespace

bool Frame::same_inputs(std::span<const Tensor> inputs, std::span<const int64_t> enclosing) const {
  size_t at = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ProgramValue& v = program_->values()[static_cast<size_t>(program_->inputs()[i])];
    if (!v.tensor) continue;
    const Tensor& t = inputs[i];
    if (t.rank < 0 || t.dtype != v.dtype || (t.on_device && !v.on_device && !v.only_transferred)) return false;
    if (input_dims_[at++] != t.rank) return false;
    for (int a = 0; a < t.rank; ++a)
      if (input_dims_[at++] != t.dims[a]) return false;
  }
  for (size_t i = 0; i < enclosing_.size(); ++i)
    if (enclosing_[i] != enclosing[static_cast<size_t>(program_->inherits()[i].second)]) return false;
  return true;
}

void Frame::bind_inputs(std::span<const Tensor> inputs, std::span<const int64_t> enclosing) {
  input_dims_.clear();
  enclosing_.clear();
  symbols_.assign(program_->symbols().size(), kUnbound);
  for (const auto& [own, outer] : program_->inherits()) {
    enclosing_.push_back(enclosing[static_cast<size_t>(outer)]);
    symbols_[static_cast<size_t>(own)] = enclosing_.back();
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ProgramValue& v = program_->values()[static_cast<size_t>(program_->inputs()[i])];
    if (!v.tensor) continue;
    const Tensor& t = inputs[i];
    if (t.rank < 0) throw Error(Code::kInvalidArgument, "input " + v.name + " is missing");
    if (t.dtype != v.dtype)
      throw Error(Code::kDTypeMismatch, "input " + v.name + " expects " + std::string(info(v.dtype).name) +
                                            ", received " + std::string(info(t.dtype).name));
    if (t.on_device && !v.on_device && !v.only_transferred)
      throw Error(Code::kInvalidArgument, "input " + v.name + " is read by the processor and cannot be a device buffer");
    if (v.rank >= 0 && t.rank != v.rank)
      throw Error(Code::kShapeMismatch,
                  "input " + v.name + " expects rank " + text(v.rank) + ", received " + dims_text(t));
    input_dims_.push_back(t.rank);
    input_dims_.insert(input_dims_.end(), t.dims, t.dims + t.rank);
    const char* bounds = "is outside the profile";
    for (const auto& [axis, symbol] : v.binds) {
      if (axis >= t.rank)
        throw Error(Code::kShapeMismatch, "input " + v.name + " has no axis " + text(axis) + ": " + dims_text(t));
      bind_symbol(symbol, t.dims[axis], v, axis, bounds);
    }
    for (int a = 0; a < v.rank; ++a)
      if (const int s = program_->expressions()[static_cast<size_t>(v.dims[static_cast<size_t>(a)])].single_symbol();
          s >= 0)
        bind_symbol(s, t.dims[a], v, a, bounds);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ProgramValue& v = program_->values()[static_cast<size_t>(program_->inputs()[i])];
    if (!v.tensor) continue;
    for (int a = 0; a < v.rank; ++a) {
      const int64_t expected =
          program_->expressions()[static_cast<size_t>(v.dims[static_cast<size_t>(a)])].evaluate(symbols_);
      if (expected != inputs[i].dims[a])
        throw Error(Code::kShapeMismatch, "input " + v.name + " expects " + text(expected) + " at axis " + text(a) +
                                              ", received " + dims_text(inputs[i]));
    }
  }
}

// Kernels of a device read as far as one operand tells them: none may run where another one is smaller.
void Frame::check(const AgreementDescription& a) const {
  const int64_t left = program_->expressions()[static_cast<size_t>(a.left)].evaluate(symbols_);
  const int64_t right = program_->expressions()[static_cast<size_t>(a.right)].evaluate(symbols_);
  if (left == right || left == kUnbound || right == kUnbound) return;
  throw Error(Code::kShapeMismatch, a.what + " are " + text(left) + " (" + a.left_name + ") and " + text(right) +
                                        " (" + a.right_name + ")");
}

void Frame::bind_symbol(int symbol, int64_t extent, const ProgramValue& value, int axis, const char* bounds) {
  int64_t& bound = symbols_[static_cast<size_t>(symbol)];
  const SymbolDescription& s = program_->symbols()[static_cast<size_t>(symbol)];
  const auto where = [&] { return value.name + ": axis " + text(axis) + " = " + text(extent); };
  if (bound != kUnbound) {
    if (bound == extent) return;
    throw Error(Code::kShapeMismatch, where() + ", expected " + s.name + " = " + text(bound));
  }
  if (extent < s.min || extent > s.max)
    throw Error(Code::kShapeMismatch,
                where() + " " + bounds + ": " + s.name + " is " + text(s.min) + " to " + text(s.max));
  bound = extent;
}

int64_t Frame::evaluate(int expression) const {
  const auto e = static_cast<size_t>(expression);
  return program_->static_expression(expression) ? expressions_[e] : program_->expressions()[e].evaluate(symbols_);
}

int64_t Frame::require(int expression, const ProgramValue& value) const {
  const int64_t n = evaluate(expression);
  if (n == kUnbound) throw Error(Code::kInvalidPlan, value.name + " depends on a symbol that nothing has bound");
  return n;
}

// All that the inputs' dims decide.
void Frame::resolve(std::span<const Tensor> inputs) {
  const Program& p = *program_;
  patches_.clear();
  for (size_t e = 0; e < p.expressions().size(); ++e)
    if (p.static_expression(static_cast<int>(e))) expressions_[e] = p.expressions()[e].evaluate(symbols_);
  if (p.device_arena_bytes() && grow(device_arena_, p.device_arena_bytes()) && frame_options_.poison) {
    device_busy_ = true;
    queue_->fill(device_arena_.data(), p.device_arena_bytes(), 0xFF);
  }
  if (p.arena_bytes() && !arena_.data()) {
    arena_.reserve(p.arena_bytes());
    if (frame_options_.poison) std::fill_n(arena_.data(), p.arena_bytes(), std::byte{0xFF});
  }
  for (size_t i = 0; i < p.values().size(); ++i) {
    const ProgramValue& v = p.values()[i];
    if (!v.tensor || v.dynamic) continue;
    if (v.storage == Storage::kInput) {
      know(i, dims_of(inputs[v.index]));
      continue;
    }
    int64_t dims[kMaxRank];
    for (size_t a = 0; a < v.dims.size(); ++a) dims[a] = require(v.dims[a], v);
    know(i, {dims, v.dims.size()});
    if (v.storage == Storage::kConstant) values_[i].data = constant_data(v);
    if (v.storage == Storage::kArena && v.direct_output < 0) values_[i].data = memory_for(i);
    if (v.storage == Storage::kDims) {
      fill_dims(v);
      values_[i].data = memory_for(i);
    }
  }
  place_static_heap();
  for (size_t e = 0; e < homes_.size(); ++e) homes_[e] = values_[p.exchanges()[e].value].as<std::byte>();
  for (const ProgramStep& step : p.steps())
    if (step.kind != StepKind::kForeign && !step.dynamic) resolve_step(step, true);
}

void Frame::place_static_heap() {
  const Program& p = *program_;
  for (const bool on_device : {false, true}) {
    const auto mine = [&](const ProgramValue& v) {
      return v.tensor && !v.dynamic && v.storage == Storage::kHeap && v.direct_output < 0 && v.first_step >= 0 &&
             v.on_device == on_device;
    };
    std::vector<std::vector<size_t>> born(p.steps().size()), dying(p.steps().size());
    bool any = false;
    for (size_t i = 0; i < p.values().size(); ++i) {
      const ProgramValue& v = p.values()[i];
      if (!mine(v)) continue;
      any = true;
      born[static_cast<size_t>(v.first_step)].push_back(i);
      if (static_cast<size_t>(v.last_step) < p.steps().size()) dying[static_cast<size_t>(v.last_step)].push_back(i);
    }
    if (!any) continue;
    OffsetPlanner planner(on_device ? kDeviceAlignment : kHostAlignment);
    std::vector<size_t> offsets(p.values().size());
    for (size_t s = 0; s < p.steps().size(); ++s) {
      for (const size_t i : born[s]) offsets[i] = planner.take(capacity_[i]);
      for (const size_t i : dying[s]) planner.give(offsets[i], capacity_[i]);
    }
    if (on_device && grow(device_static_heap_, planner.peak())) forget_recordings();
    if (!on_device) static_heap_.reserve(planner.peak());
    std::byte* base = on_device ? device_static_heap_.data() : static_heap_.data();
    for (size_t i = 0; i < p.values().size(); ++i)
      if (mine(p.values()[i])) values_[i].data = base + offsets[i];
  }
}

void Frame::fill_dims(const ProgramValue& value) {
  for (size_t k = 0; k < value.elements.size(); ++k)
    dims_elements_[value.elements_at + k] = require(value.elements[k], value);
}

// Takes the dims a step has given a value: binds the symbols it defines and checks what was known.
void Frame::learn(size_t value, std::span<const int64_t> dims) {
  const ProgramValue& v = program_->values()[value];
  const auto produced = [&] { return v.name + " came out as " + dims_text(dims); };
  if (v.rank >= 0 && dims.size() != v.dims.size())
    throw Error(Code::kShapeMismatch, produced() + ", expected rank " + text(v.rank));
  for (const auto& [axis, symbol] : v.binds) {
    if (static_cast<size_t>(axis) >= dims.size())
      throw Error(Code::kShapeMismatch, produced() + ", which has no axis " + text(axis));
    bind_symbol(symbol, dims[static_cast<size_t>(axis)], v, axis, "is out of bounds");
    for (const AgreementDescription& a : program_->agreements_of(static_cast<size_t>(symbol))) check(a);
  }
  for (size_t a = 0; a < v.dims.size(); ++a) {
    const int64_t expected = evaluate(v.dims[a]);
    if (expected != kUnbound && expected != dims[a])
      throw Error(Code::kShapeMismatch,
                  produced() + ", expected " + text(expected) + " at axis " + text(static_cast<int64_t>(a)));
  }
}

void Frame::know(size_t value, std::span<const int64_t> dims) {
  const ProgramValue& v = program_->values()[value];
  Tensor& t = values_[value];
  t.dtype = v.dtype;
  t.on_device = v.on_device;
  set_dense(t, dims, v.order, v.name.c_str());
  const size_t bytes = dense_bytes(t);
  const bool planned = v.storage == Storage::kConstant || (v.storage == Storage::kArena && v.direct_output < 0);
  if (planned && bytes > v.bytes)
    throw Error(Code::kShapeMismatch, v.name + " " + dims_text(t) + " needs " + std::to_string(bytes) +
                                          " bytes, the plan has " + std::to_string(v.bytes));
  // Memory of the caller's may take its place, which is no larger.
  capacity_[value] = planned && !v.exchangeable ? v.bytes : bytes;
  known_[value] = 1;
}

bool Frame::ensure_known(size_t value) {
  if (known_[value]) return true;
  const ProgramValue& v = program_->values()[value];
  if (v.rank < 0) return false;
  int64_t dims[kMaxRank];
  for (size_t a = 0; a < v.dims.size(); ++a)
    if ((dims[a] = evaluate(v.dims[a])) == kUnbound) return false;
  if (v.storage == Storage::kDims) fill_dims(v);
  know(value, {dims, v.dims.size()});
  values_[value].data = memory_for(value);
  return true;
}

std::byte* Frame::memory_for(size_t value) {
  const ProgramValue& v = program_->values()[value];
  if (v.storage == Storage::kArena && v.direct_output < 0) {
    std::byte* arena = v.on_device ? device_arena_.data() : arena_.data();
    return arena ? arena + v.offset : no_elements();
  }
  if (v.storage == Storage::kDims) return reinterpret_cast<std::byte*>(dims_elements_.data() + v.elements_at);
  if (v.direct_output >= 0) {
    const auto output = static_cast<size_t>(v.direct_output);
    placed_[output] = 1;
    std::byte* const place = sink_->place(output, v.dtype, dims_of(values_[value]), capacity_[value]);
    values_[value].on_device = sink_->on_device(output);
    return place;
  }
  if (v.on_device) {
    DeviceBlock& block = device_blocks_[value];
    if (!block.data()) block = DeviceBlock(program_->device());
    // The iteration before may still be at work in what would go. Extents that the values decide differ from run to
    // run: with room to spare, few of them wait for that.
    if (const size_t bytes = capacity_[value]; !block.data() || bytes > block.capacity()) {
      const size_t roomy = std::max({bytes, block.capacity() + block.capacity() / 2, kLeastDynamicBytes});
      try {
        grow(block, roomy);
      } catch (const Error& e) {
        if (e.code != Code::kOutOfMemory || roomy == bytes) throw;
        grow(block, std::max<size_t>(bytes, 1));
      }
    }
    return block.data();
  }
  heap_.give(std::move(blocks_[value]));
  blocks_[value] = heap_.take(capacity_[value]);
  return blocks_[value].data();
}

// `offset`, where asked for, is the view's place in its value, for values whose memory is only known later.
Tensor Frame::resolve(const ProgramOperand& operand, bool output, size_t* offset) {
  Tensor t;
  t.rank = -1;
  if (offset) *offset = 0;
  if (operand.value < 0) return t;
  const auto value = static_cast<size_t>(operand.value);
  const ProgramValue& v = program_->values()[value];
  t.dtype = v.dtype;
  if (v.dynamic ? !ensure_known(value) : !known_[value]) {
    if (output && !operand.view()) return t;
    throw Error(Code::kInvalidPlan, v.name + " is used before its shape is known");
  }
  t = values_[value];
  if (!operand.view()) return t;
  if (operand.has_dims) {
    int64_t dims[kMaxRank];
    for (size_t a = 0; a < operand.dims.size(); ++a) dims[a] = require(operand.dims[a], v);
    set_dense(t, {dims, operand.dims.size()}, {}, v.name.c_str());
  }
  for (size_t a = 0; a < operand.strides.size(); ++a) t.strides[a] = require(operand.strides[a], v);
  const size_t at =
      view_offset(t, operand.offset >= 0 ? require(operand.offset, v) : 0, capacity_[value], v.name.c_str());
  if (offset) *offset = at;
  if (t.data) t.data = t.as<std::byte>() + at;
  return t;
}

void Frame::resolve_step(const ProgramStep& step, bool keep_patches) {
  size_t index = step.first_tensor;
  const auto add = [&](const ProgramOperand& operand, bool output) {
    size_t offset;
    tensors_[index] = resolve(operand, output, &offset);
    if (keep_patches && operand.value >= 0) {
      const ProgramValue& v = program_->values()[static_cast<size_t>(operand.value)];
      if (v.storage == Storage::kInput || v.direct_output >= 0 || v.exchangeable)
        patches_.push_back({index, static_cast<size_t>(operand.value), offset});
    }
    ++index;
  };
  for (const ProgramOperand& o : step.inputs) add(o, false);
  for (const ProgramOperand& o : step.outputs) add(o, true);
}

void Frame::prepare_kernel(const ProgramStep& step) {
  if (!step.kernel) return;
  step.kernel->check(inputs_of(step), outputs_of(step));
  // Runs take all threads or one, and one may need the more: it holds whole what several hold in parts.
  const auto bytes_for = [&](int threads) {
    return step.kernel->workspace_bytes(inputs_of(step), outputs_of(step), threads);
  };
  const size_t bytes = std::max(bytes_for(pool_.threads()), step.on_device ? 0 : bytes_for(1));
  // Recordings hold the old address.
  if (!step.on_device) workspace_.reserve(bytes);
  else if (grow(device_workspace_, bytes))
    forget_recordings();
}

}  // namespace tw
