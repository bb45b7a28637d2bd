#include "executor/program.h"

#include <algorithm>

#include "executor/layout.h"

namespace tw {
namespace {

[[noreturn]] void invalid(const std::string& where, const std::string& what) {
  throw Error(Code::kInvalidPlan, where + ": " + what);
}

std::string at(const char* list, size_t i) { return std::string(list) + '[' + std::to_string(i) + ']'; }

int index_in(int64_t index, size_t size, const std::string& where, const char* of) {
  if (index < 0 || static_cast<uint64_t>(index) >= size)
    invalid(where, std::to_string(index) + " is not the index of one of the " + std::to_string(size) + " " + of);
  return static_cast<int>(index);
}

StepKind kind_of(const std::string& kernel) {
  if (kernel == "if") return StepKind::kIf;
  if (kernel == "loop") return StepKind::kLoop;
  if (kernel == "scan") return StepKind::kScan;
  return StepKind::kKernel;
}

}  // namespace

class ProgramCompiler {
 public:
  ProgramCompiler(ProgramDescription description, std::shared_ptr<const Weights> weights, int device)
      : from_(std::move(description)), program_(new Program), device_(device) {
    program_->weights_ = std::move(weights);
  }

  std::shared_ptr<const Program> compile() {
    symbols();
    values();
    interface();
    bound_symbols();
    segments();
    for (size_t i = 0; i < from_.steps.size(); ++i) operands(i);
    liveness();
    dynamics();
    upload_constants();
    for (size_t i = 0; i < from_.steps.size(); ++i) make(i);
    recordable();
    return program_;
  }

 private:
  std::vector<int> expressions(const std::vector<int64_t>& list, const std::string& where) const {
    std::vector<int> out;
    out.reserve(list.size());
    for (size_t i = 0; i < list.size(); ++i)
      out.push_back(
          index_in(list[i], program_->expressions_.size(), where + '[' + std::to_string(i) + ']', "expressions"));
    return out;
  }

  void symbols() {
    Program& p = *program_;
    p.symbols_ = std::move(from_.symbols);
    for (size_t i = 0; i < p.symbols_.size(); ++i)
      if (p.symbols_[i].min > p.symbols_[i].max) invalid(at("symbols", i), "its minimum is above its maximum");
    for (size_t i = 0; i < from_.expressions.size(); ++i)
      p.expressions_.emplace_back(std::move(from_.expressions[i]), p.symbols_.size(), at("expressions", i));
    for (size_t i = 0; i < from_.inherits.size(); ++i) {
      const int own = index_in(from_.inherits[i].first, p.symbols_.size(), at("inherits", i) + "[0]", "symbols");
      // The enclosing program checks the other index when it takes this one for a body.
      if (from_.inherits[i].second < 0 || from_.inherits[i].second > INT32_MAX)
        invalid(at("inherits", i) + "[1]", "not the index of a symbol");
      p.inherits_.push_back({own, static_cast<int>(from_.inherits[i].second)});
    }
  }

  void values() {
    Program& p = *program_;
    if (from_.arena_bytes < 0) invalid("arenaBytes", "negative");
    if (from_.device_arena_bytes < 0) invalid("deviceArenaBytes", "negative");
    p.arena_bytes_ = static_cast<size_t>(from_.arena_bytes);
    p.device_arena_bytes_ = static_cast<size_t>(from_.device_arena_bytes);
    p.values_.reserve(from_.values.size());
    for (size_t i = 0; i < from_.values.size(); ++i) p.values_.push_back(value(from_.values[i], at("values", i), i));
  }

  ProgramValue value(const ValueDescription& d, const std::string& where, size_t index) {
    Program& p = *program_;
    ProgramValue v;
    v.name = d.name.empty() ? "value " + std::to_string(index) : "'" + d.name + "'";
    v.storage = d.storage;
    v.on_device = d.on_device;
    if (v.on_device && (d.storage == Storage::kDims || d.storage == Storage::kObject))
      invalid(where + ".memory", "values of this storage are the host's");
    if (d.dtype) {
      try {
        v.dtype = dtype_from_name(*d.dtype);
      } catch (const Error& e) {
        invalid(where + ".dtype", e.what());
      }
      v.tensor = v.dtype != DType::kString && d.storage != Storage::kObject;
    }
    if (d.dims) {
      v.dims = expressions(*d.dims, where + ".dims");
      if (v.dims.size() > kMaxRank) invalid(where + ".dims", "a rank above " + std::to_string(kMaxRank));
      v.rank = static_cast<int>(v.dims.size());
    }
    for (size_t b = 0; b < d.binds.size(); ++b) {
      const std::string bind = where + '.' + at("binds", b);
      const int axis = index_in(d.binds[b].first, d.dims ? v.dims.size() : kMaxRank, bind + "[0]", "axes");
      v.binds.push_back({axis, index_in(d.binds[b].second, p.symbols_.size(), bind + "[1]", "symbols")});
    }
    if (d.order) order(v, *d.order, where + ".order");
    storage(v, d, where + ".storage");
    return v;
  }

  void order(ProgramValue& v, const std::vector<int64_t>& order, const std::string& where) {
    if (v.rank < 0 || order.size() != v.dims.size()) invalid(where, "expected one entry for each axis");
    std::vector<char> seen(order.size());
    bool row_major = true;
    for (size_t k = 0; k < order.size(); ++k) {
      const int axis = index_in(order[k], order.size(), where + '[' + std::to_string(k) + ']', "axes");
      if (seen[static_cast<size_t>(axis)]++) invalid(where, "names an axis twice");
      v.order.push_back(static_cast<int8_t>(axis));
      row_major = row_major && axis == static_cast<int>(k);
    }
    if (row_major) v.order.clear();
    if (!v.order.empty() && is_sub_byte(v.dtype)) invalid(where, "elements below 8 bits are always row-major");
  }

  void storage(ProgramValue& v, const ValueDescription& d, const std::string& where) {
    Program& p = *program_;
    const auto range = [&](size_t size, const char* of) {
      if (d.offset < 0) invalid(where + ".offset", "negative");
      if (d.bytes < 0) invalid(where + ".bytes", "negative");
      v.offset = static_cast<size_t>(d.offset);
      v.bytes = static_cast<size_t>(d.bytes);
      if (v.offset > size || v.bytes > size - v.offset)
        invalid(where, "bytes " + std::to_string(v.offset) + " to " + std::to_string(d.offset) + " + " +
                           std::to_string(d.bytes) + " are beyond the " + std::to_string(size) + " bytes of " + of);
      const size_t alignment = static_cast<size_t>(std::max(1, info(v.dtype).bits / 8));
      if (v.offset % std::min<size_t>(alignment, 8)) invalid(where + ".offset", "not aligned to the elements");
    };
    switch (d.storage) {
      case Storage::kInput:
        v.index = static_cast<size_t>(index_in(d.index, from_.inputs.size(), where + ".index", "inputs"));
        break;
      case Storage::kConstant:
        range(p.weights_ ? p.weights_->bytes() : 0, "the weights");
        break;
      case Storage::kArena:
        range(v.on_device ? p.device_arena_bytes_ : p.arena_bytes_, "the arena");
        break;
      case Storage::kDims: {
        v.elements = expressions(d.elements, where + ".elements");
        if (v.dtype != DType::kInt64 || !v.tensor) invalid(where, "a tensor of dimensions is int64");
        if (v.rank != 1 && !(v.rank == 0 && v.elements.size() == 1))
          invalid(where, "a tensor of dimensions is a vector or one element");
        if (v.rank == 1) {
          const Expression& extent = p.expressions_[static_cast<size_t>(v.dims[0])];
          if (!extent.constant() || extent.evaluate({}) != static_cast<int64_t>(v.elements.size()))
            invalid(where + ".elements", "their number is not the dimension");
        }
        v.elements_at = p.dims_elements_;
        p.dims_elements_ += v.elements.size();
        break;
      }
      case Storage::kHeap:
      case Storage::kObject:
        break;
    }
  }

  void interface() {
    Program& p = *program_;
    for (size_t i = 0; i < from_.inputs.size(); ++i) {
      const int v = index_in(from_.inputs[i], p.values_.size(), at("inputs", i), "values");
      const ProgramValue& value = p.values_[static_cast<size_t>(v)];
      if (value.storage != Storage::kObject && (value.storage != Storage::kInput || value.index != i))
        invalid(at("inputs", i), "the storage of value " + std::to_string(v) + " is not that input");
      p.inputs_.push_back(v);
    }
    for (size_t i = 0; i < p.values_.size(); ++i)
      if (p.values_[i].storage == Storage::kInput && p.inputs_[p.values_[i].index] != static_cast<int>(i))
        invalid(at("values", i) + ".storage.index", "that input is another value");
    for (size_t i = 0; i < from_.outputs.size(); ++i) {
      const int v = index_in(from_.outputs[i], p.values_.size(), at("outputs", i), "values");
      p.outputs_.push_back(v);
      ProgramValue& value = p.values_[static_cast<size_t>(v)];
      if (value.tensor && value.storage == Storage::kHeap && value.order.empty() && value.direct_output < 0)
        value.direct_output = static_cast<int>(i);
    }
  }

  // What the inputs and the enclosing program tell; everything else waits for steps.
  void bound_symbols() {
    Program& p = *program_;
    p.start_symbol_.assign(p.symbols_.size(), 0);
    for (const auto& [own, enclosing] : p.inherits_) p.start_symbol_[static_cast<size_t>(own)] = 1;
    for (const int i : p.inputs_) {
      const ProgramValue& v = p.values_[static_cast<size_t>(i)];
      if (!v.tensor) continue;
      for (const auto& [axis, symbol] : v.binds) p.start_symbol_[static_cast<size_t>(symbol)] = 1;
      for (const int e : v.dims)
        if (const int s = p.expressions_[static_cast<size_t>(e)].single_symbol(); s >= 0)
          p.start_symbol_[static_cast<size_t>(s)] = 1;
    }
    for (const Expression& e : p.expressions_)
      p.static_expression_.push_back(!e.any_symbol([&](size_t s) { return !p.start_symbol_[s]; }));
  }

  void segments() {
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
        step.kind = on_device                       ? StepKind::kKernel
                    : s.backend == kNativeBackend ? kind_of(from_.steps[static_cast<size_t>(k)].kernel)
                                                    : StepKind::kForeign;
      }
    }
    if (static_cast<size_t>(end) != p.steps_.size()) invalid("segments", "step " + std::to_string(end) + " is in none");
  }

  ProgramOperand operand(const std::optional<OperandDescription>& d, const std::string& where, bool native) {
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

  void operands(size_t i) {
    ProgramStep& step = program_->steps_[i];
    StepDescription& from = from_.steps[i];
    const std::string where = at("steps", i);
    const bool native = step.kind != StepKind::kForeign;
    step.name =
        "step " + std::to_string(i) + " (" + from.kernel + (from.layer.empty() ? "" : " '" + from.layer + "'") + ")";
    step.attributes = std::move(from.attributes);
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
  static void memory(const ProgramStep& step, const std::string& kernel, ProgramValue& value, bool leading,
                     const std::string& where) {
    if (step.on_device && kernel == "transfer") return;
    value.only_transferred = false;
    if (value.on_device != (step.on_device && !leading))
      invalid(where + ".value", value.name + " lies in the other memory");
  }

  // Of the arena's alignment, which vector loads and tensor maps rely on.
  static constexpr size_t kDeviceAlignment = 256;
  static size_t host_inputs(const std::string& kernel) { return kernel == "launch" ? 2 : 1; }

  void upload_constants() {
    Program& p = *program_;
    size_t bytes = 0;
    for (ProgramValue& v : p.values_) {
      if (!v.on_device || v.storage != Storage::kConstant) continue;
      v.device_offset = bytes;
      bytes += (v.bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
    }
    if (bytes == 0) return;
    if (!p.device_) p.device_ = open_device(device_);
    p.device_constants_ = DeviceBlock(p.device_);
    p.device_constants_.reserve(bytes);
    for (const ProgramValue& v : p.values_)
      if (v.on_device && v.storage == Storage::kConstant)
        p.device_->upload(p.device_constants_.data() + v.device_offset, p.weights_->data() + v.offset, v.bytes);
  }

  void recordable() {
    Program& p = *program_;
    const auto fits = [](const ProgramStep& s) { return s.on_device && !s.dynamic && s.kernel->recordable(); };
    for (size_t begin = 0; begin < p.steps_.size(); ++begin) {
      if (!fits(p.steps_[begin])) continue;
      size_t end = begin;
      while (end < p.steps_.size() && fits(p.steps_[end])) ++end;
      p.recordable_.push_back({begin, end});
      begin = end;
    }
  }

  static void touch(ProgramValue& value, size_t step) {
    if (value.first_step < 0) value.first_step = static_cast<int>(step);
    value.last_step = static_cast<int>(step);
  }

  void liveness() {
    for (size_t i = 0; i < program_->outputs_.size(); ++i) {
      ProgramValue& v = program_->values_[static_cast<size_t>(program_->outputs_[i])];
      // It is delivered in place, or copied by the host.
      if (v.storage == Storage::kInput || v.direct_output != static_cast<int>(i)) v.only_transferred = false;
      if (v.on_device) invalid(at("outputs", i), "outputs are in the host's memory");
      const bool made = v.storage == Storage::kArena || v.storage == Storage::kHeap;
      if (made && v.tensor && v.first_step < 0) invalid(at("outputs", i), "no step writes " + v.name);
      v.last_step = static_cast<int>(program_->steps_.size());
    }
  }

  void dynamics() {
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

  // What a kernel may know of an operand when it is made: extents that only the run knows are -1.
  Tensor known(const ProgramOperand& o, const std::string& where) const {
    Tensor t;
    t.rank = -1;
    if (o.value < 0) return t;
    const Program& p = *program_;
    const ProgramValue& v = p.values_[static_cast<size_t>(o.value)];
    t.dtype = v.dtype;
    const auto constant = [&](int e) { return p.expressions_[static_cast<size_t>(e)].constant(); };
    const auto extent = [&](int e) { return p.expressions_[static_cast<size_t>(e)].evaluate({}); };
    const std::vector<int>& dims = o.has_dims ? o.dims : v.dims;
    if (!o.has_dims && v.rank < 0) return t;
    t.rank = static_cast<int>(dims.size());
    bool all = true;
    for (size_t i = 0; i < dims.size(); ++i) {
      all = all && constant(dims[i]);
      t.dims[i] = constant(dims[i]) ? extent(dims[i]) : -1;
    }
    for (const int e : o.strides) all = all && constant(e);
    if (!all || (o.offset >= 0 && !constant(o.offset))) return t;
    set_dense(t, dims_of(Tensor(t)), o.has_dims ? std::span<const int8_t>() : v.order, where.c_str());
    for (size_t i = 0; i < o.strides.size(); ++i) t.strides[i] = extent(o.strides[i]);
    if (v.storage == Storage::kConstant) {
      t.data = p.constant_data(v) + view_offset(t, o.offset >= 0 ? extent(o.offset) : 0, v.bytes, where.c_str());
    }
    return t;
  }

  void make(size_t i) {
    ProgramStep& step = program_->steps_[i];
    StepDescription& from = from_.steps[i];
    if (step.kind == StepKind::kForeign) return;
    try {
      if (step.kind == StepKind::kKernel) {
        if (!from.programs.empty()) invalid(at("steps", i) + ".programs", "only control steps have programs");
        std::vector<Tensor> inputs, outputs;
        for (size_t k = 0; k < step.inputs.size(); ++k) inputs.push_back(known(step.inputs[k], at("input", k)));
        for (size_t k = 0; k < step.outputs.size(); ++k) outputs.push_back(known(step.outputs[k], at("output", k)));
        const std::string name = step.on_device ? std::string(kDeviceBackend) + '.' + from.kernel : from.kernel;
        step.kernel = make_kernel(name, {step.attributes, inputs, outputs, step.on_device ? program_->device_ : nullptr});
      } else {
        bodies(i);
      }
    } catch (const Error& e) {
      const bool kept = e.code == Code::kUnsupported || e.code == Code::kOutOfMemory || e.code == Code::kDevice ||
                        e.code == Code::kBackendUnavailable;
      throw Error(kept ? e.code : Code::kInvalidPlan, step.name + ": " + e.what());
    }
  }

  void bodies(size_t i) {
    ProgramStep& step = program_->steps_[i];
    StepDescription& from = from_.steps[i];
    for (size_t k = 0; k < from.programs.size(); ++k) {
      const std::string where = at("programs", k);
      try {
        auto body = Program::create(std::move(from.programs[k]), program_->weights_, device_);
        if (!body->native()) invalid("segments", "every step of a body must be native");
        for (size_t b = 0; b < body->inherits().size(); ++b)
          index_in(body->inherits()[b].second, program_->symbols_.size(), at("inherits", b) + "[1]",
                   "enclosing symbols");
        for (const auto list : {body->inputs(), body->outputs()})
          for (const int v : list)
            if (!body->values()[static_cast<size_t>(v)].tensor)
              invalid(at("values", static_cast<size_t>(v)), "not a tensor");
        step.programs.push_back(std::move(body));
      } catch (const Error& e) {
        throw Error(e.code, where + "." + e.what());
      }
    }
    const auto expect = [&](const char* what, size_t have, size_t want) {
      if (have != want)
        throw Error(Code::kInvalidPlan,
                    "it has " + std::to_string(have) + " " + what + ", expected " + std::to_string(want));
    };
    const auto count = [&](const char* name) {
      const int64_t n = step.attributes.integer(name, 0);
      if (n < 0 || n > INT32_MAX)
        throw Error(Code::kInvalidPlan, "attributes." + std::string(name) + " is out of range");
      return static_cast<size_t>(n);
    };
    for (const ProgramOperand& o : step.outputs)
      if (o.view() && o.value >= 0 && program_->values_[static_cast<size_t>(o.value)].rank < 0)
        throw Error(Code::kInvalidPlan, "an output is a view of a value of unknown rank");
    if (step.kind == StepKind::kIf) {
      expect("programs", step.programs.size(), 2);
      for (const auto& body : step.programs) {
        expect("inputs", step.inputs.size(), body->inputs().size() + 1);
        expect("outputs", step.outputs.size(), body->outputs().size());
      }
      return;
    }
    expect("programs", step.programs.size(), 1);
    const Program& body = *step.programs[0];
    const size_t carried = count("carried"), scans = count("scans");
    const size_t scanned = step.kind == StepKind::kScan ? count("numScanInputs") : 0;
    const size_t leading = step.kind == StepKind::kLoop ? 2 : 0;  // trip count or iteration, and condition
    if (step.kind == StepKind::kScan && scanned == 0) throw Error(Code::kInvalidPlan, "it scans no input");
    // What follows the carried and scanned inputs is captured.
    if (step.inputs.size() < leading + carried + scanned)
      expect("inputs", step.inputs.size(), leading + carried + scanned);
    expect("body inputs", body.inputs().size(), step.inputs.size());
    expect("outputs", step.outputs.size(), carried + scans);
    expect("body outputs", body.outputs().size(), (leading ? 1 : 0) + carried + scans);
  }

  ProgramDescription from_;
  std::shared_ptr<Program> program_;
  const int device_;
};

std::shared_ptr<const Program> Program::create(ProgramDescription description, std::shared_ptr<const Weights> weights,
                                               int device) {
  return ProgramCompiler(std::move(description), std::move(weights), device).compile();
}

}  // namespace tw
