// The kernels of a program, and the programs of its control steps.
#include <algorithm>

#include "executor/layout.h"
#include "executor/program_compiler.h"

namespace tw {

namespace {

// Of the arena's alignment, which vector loads and tensor maps rely on.
constexpr size_t kDeviceAlignment = 256;

}  // namespace

void ProgramCompiler::upload_constants() {
  Program& p = *program_;
  size_t bytes = 0;
  for (ProgramValue& v : p.values_) {
    if (!v.on_device || v.storage != Storage::kConstant) continue;
    v.device_offset = bytes;
    bytes += (v.bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
  }
  const bool any = std::any_of(p.values_.begin(), p.values_.end(), [](const ProgramValue& v) { return v.on_device; });
  if (any && !p.device_) p.device_ = open_device(device_);
  if (bytes == 0) return;
  p.device_constants_ = DeviceBlock(p.device_);
  p.device_constants_.reserve(bytes);
  for (const ProgramValue& v : p.values_)
    if (v.on_device && v.storage == Storage::kConstant)
      p.device_->upload(p.device_constants_.data() + v.device_offset, p.weights_->data() + v.offset, v.bytes);
}

// What a kernel may know of an operand when it is made: extents that only the run knows are -1.
Tensor ProgramCompiler::known(const ProgramOperand& o, const std::string& where) const {
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

void ProgramCompiler::make(size_t i) {
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
                      e.code == Code::kBackendUnavailable || e.code == Code::kPlugin;
    throw Error(kept ? e.code : Code::kInvalidPlan, step.name + ": " + e.what());
  }
}

void ProgramCompiler::bodies(size_t i) {
  ProgramStep& step = program_->steps_[i];
  StepDescription& from = from_.steps[i];
  for (size_t k = 0; k < from.programs.size(); ++k) {
    const std::string where = at("programs", k);
    try {
      auto body = Program::create(std::move(from.programs[k]), program_->weights_, device_, true);
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
      body_memory(step, *body);
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
  body_memory(step, body);
}

// What a body takes and gives lies where its step works; the number of the iteration and conditions are the host's.
void ProgramCompiler::body_memory(const ProgramStep& step, const Program& body) {
  const bool loop = step.kind == StepKind::kLoop;
  const auto expect = [&](const char* list, std::span<const int> values, size_t on_host) {
    for (size_t i = 0; i < values.size(); ++i) {
      const ProgramValue& v = body.values()[static_cast<size_t>(values[i])];
      if (v.on_device != (step.on_device && i >= on_host))
        throw Error(Code::kInvalidPlan, "body " + at(list, i) + " lies in the other memory");
      if (v.on_device && !v.order.empty())
        throw Error(Code::kInvalidPlan, "body " + at(list, i) + " is on a device and not row-major");
    }
  };
  expect("inputs", body.inputs(), loop ? 2 : 0);
  expect("outputs", body.outputs(), loop ? 1 : 0);
}

}  // namespace tw
