#include "executor/control.h"

#include <algorithm>
#include <cstring>

#include "executor/layout.h"

namespace tw {

namespace {

bool truth(const Tensor& t, const char* what) {
  if (t.rank < 0 || t.dtype != DType::kBool || t.count() != 1)
    throw Error(Code::kShapeMismatch,
                std::string(what) + " must be one bool, received " + std::string(info(t.dtype).name) + dims_text(t));
  return *t.as<uint8_t>() != 0;
}

Tensor dense(DType dtype, std::span<const int64_t> dims, void* data) {
  Tensor t;
  t.dtype = dtype;
  set_dense(t, dims, {}, "a loop's value");
  t.data = data;
  return t;
}

}  // namespace

// A body's outputs become the step's: straight into their memory where that is dense.
class ControlState::BranchSink : public OutputSink {
 public:
  BranchSink(Frame& parent, bool device, std::vector<Room>& rooms, size_t outputs)
      : parent_(parent), device_(device), rooms_(rooms), copies_(outputs, nullptr) {
    if (rooms_.size() < outputs) rooms_.resize(outputs);
  }
  std::byte* place(size_t output, DType dtype, std::span<const int64_t> dims, size_t bytes) override {
    Tensor& t = parent_.place_output(output, dims);
    if (!parent_.omitted(output) && t.dtype != dtype)
      throw Error(Code::kDTypeMismatch,
                  "output " + std::to_string(output) + " of a body has another dtype than the step's");
    if (t.contiguous()) return t.as<std::byte>();
    if (device_) throw Error(Code::kUnsupported, "an output on a device that is not dense");
    copies_[output] = &t;
    return rooms_[output].reserve({}, false, bytes);
  }
  bool on_device(size_t) const override { return device_; }
  void copy_strided() {
    for (size_t i = 0; i < copies_.size(); ++i)
      if (copies_[i]) copy_elements(dense(copies_[i]->dtype, dims_of(*copies_[i]), rooms_[i].data()), *copies_[i]);
  }

 private:
  Frame& parent_;
  const bool device_;
  std::vector<Room>& rooms_;
  std::vector<Tensor*> copies_;
};

// The outputs of one iteration: `leading` (a condition) and carried values, each in one of two rooms by turns because
// the other still holds its predecessor, then scan outputs. On a device each of those is made in a room of its own, at
// an address that recordings can hold, and gathered from there.
class ControlState::IterationSink : public OutputSink {
 public:
  // What has been gathered of one scan output: the iterations' elements one after the other.
  struct Gathered {
    std::vector<int64_t> dims;
    size_t bytes = 0, used = 0;
    DType dtype = DType::kFloat32;
  };

  IterationSink(const Program& body, const DeviceSide& side, std::vector<Room>& rooms, size_t kept, size_t scans)
      : gathered(scans), body_(body), side_(side), rooms_(rooms), kept_(kept) {
    if (rooms_.size() < 2 * (kept + scans)) rooms_.resize(2 * (kept + scans));
  }
  bool on_device(size_t output) const override {
    return body_.values()[static_cast<size_t>(body_.outputs()[output])].on_device;
  }
  std::byte* place(size_t output, DType dtype, std::span<const int64_t> dims, size_t bytes) override {
    if (output < kept_) return rooms_[2 * output + turn_].reserve(side_, on_device(output), bytes);
    const size_t scan = output - kept_;
    Gathered& g = gathered[scan];
    if (iteration_ == 0) {
      g.dims.assign(dims.begin(), dims.end());
      g.bytes = bytes;
      g.dtype = dtype;
      if (is_sub_byte(dtype)) throw Error(Code::kUnsupported, "scan outputs of elements below 8 bits");
    } else if (!std::equal(dims.begin(), dims.end(), g.dims.begin(), g.dims.end())) {
      throw Error(Code::kShapeMismatch,
                  "scan output " + std::to_string(scan) + " changes its shape: " + dims_text(dims));
    }
    if (on_device(output)) return rooms_[2 * kept_ + gathered.size() + scan].reserve(side_, true, bytes);
    return append(scan);
  }
  // After an iteration on a device.
  void gather() {
    for (size_t scan = 0; scan < gathered.size(); ++scan) {
      if (!on_device(kept_ + scan)) continue;
      const std::byte* const made = rooms_[2 * kept_ + gathered.size() + scan].data();
      side_.queue->copy(append(scan), made, gathered[scan].bytes);
    }
  }
  void next() {
    turn_ ^= 1;
    ++iteration_;
  }
  std::byte* scan_data(size_t scan) { return rooms_[2 * kept_ + scan].reserve(side_, on_device(kept_ + scan), 1); }
  void trim() {
    // What one run with many iterations needed would otherwise stay for good.
    constexpr size_t kKept = size_t{16} << 20;
    for (size_t i = 2 * kept_; i < 2 * kept_ + gathered.size(); ++i)
      if (rooms_[i].capacity() > kKept) rooms_[i].reset(side_);
  }

  std::vector<Gathered> gathered;

 private:
  // Room for one more element behind those that have been gathered.
  std::byte* append(size_t scan) {
    Gathered& g = gathered[scan];
    Room& room = rooms_[2 * kept_ + scan];
    const size_t wanted = g.used + g.bytes > room.capacity() ? std::max(g.used + g.bytes, g.used * 2) : 1;
    std::byte* const at = room.reserve(side_, on_device(kept_ + scan), wanted, g.used) + g.used;
    g.used += g.bytes;
    return at;
  }

  const Program& body_;
  const DeviceSide& side_;
  std::vector<Room>& rooms_;
  size_t kept_, turn_ = 0;
  int64_t iteration_ = 0;
};

ControlState::ControlState(const ProgramStep& step, Frame& parent)
    : step_(step), parent_(parent), bodies_(step.programs.size()) {
  if (step.on_device) side_ = {parent.program().device(), parent.queue().get()};
}

Frame& ControlState::body(size_t program) {
  if (!bodies_[program]) {
    FrameOptions options = parent_.frame_options();
    options.constants = nullptr;  // those of the program around it
    bodies_[program] = std::make_unique<Frame>(step_.programs[program], parent_.pool(), options, parent_.queue());
  }
  return *bodies_[program];
}

void ControlState::run(std::span<const Tensor> inputs, std::span<Tensor> outputs) {
  switch (step_.kind) {
    case StepKind::kIf:
      return run_if(inputs, outputs);
    case StepKind::kLoop:
      return run_loop(inputs);
    default:
      return run_scan(inputs);
  }
}

void ControlState::copy(const Tensor& from, const Tensor& to) const {
  if (!to.on_device) return copy_elements(from, to);
  if (!from.contiguous() || !to.contiguous())
    throw Error(Code::kUnsupported, "values of a device that are not dense");
  side_.queue->copy(to.data, from.data, dense_bytes(to));
}

Tensor ControlState::arranged(size_t index, const Tensor& tensor, const Program& program, bool steady) {
  if (tensor.rank < 0) return tensor;
  const ProgramValue& v = program.values()[static_cast<size_t>(program.inputs()[index])];
  Tensor wanted = tensor;
  if (v.order.empty())
    wanted.set_row_major();
  else if (v.rank == tensor.rank)
    set_dense(wanted, dims_of(tensor), v.order, v.name.c_str());
  bool same = true;
  for (int a = 0; a < tensor.rank; ++a) same = same && (tensor.dims[a] == 1 || tensor.strides[a] == wanted.strides[a]);
  // Of a device's memory blocks, which kernels rely on.
  constexpr uintptr_t kAlignment = 256;
  const bool moved = tensor.on_device && (steady || reinterpret_cast<uintptr_t>(tensor.data) % kAlignment);
  if ((same && !moved) || tensor.count() == 0) {
    wanted.data = tensor.data;
    return wanted;
  }
  if (staging_.size() <= index) staging_.resize(index + 1);
  wanted.data = staging_[index].reserve(side_, tensor.on_device, dense_bytes(wanted));
  copy(tensor, wanted);
  return wanted;
}

Tensor ControlState::scalar_input(size_t index, DType dtype, void* data, const Program& program) const {
  const int rank = program.values()[static_cast<size_t>(program.inputs()[index])].rank;
  const int64_t ones[kMaxRank] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  return dense(dtype, {ones, static_cast<size_t>(std::max(rank, 0))}, data);
}

void ControlState::check_iteration(int64_t iteration) const {
  const RunOptions& options = parent_.options();
  if (options.cancelled.load(std::memory_order_relaxed)) throw Error(Code::kAborted, "the run was cancelled");
  if (iteration >= options.max_iterations)
    throw Error(Code::kLimitExceeded, "more than " + std::to_string(options.max_iterations) + " iterations");
}

void ControlState::run_if(std::span<const Tensor> inputs, std::span<Tensor> outputs) {
  Frame& frame = body(truth(inputs[0], "the condition") ? 0 : 1);
  std::vector<Tensor> captures;
  for (size_t i = 1; i < inputs.size(); ++i) captures.push_back(arranged(i - 1, inputs[i], frame.program()));
  BranchSink sink(parent_, step_.on_device, rooms_, outputs.size());
  frame.run(captures, parent_.symbols(), sink, parent_.options());
  sink.copy_strided();
}

// The step's first outputs: the values carried out of the last iteration.
void ControlState::deliver_carried(std::span<const Tensor> values, size_t carried) {
  for (size_t i = 0; i < carried; ++i) {
    if (parent_.omitted(i)) continue;
    Tensor& out = parent_.place_output(i, dims_of(values[i]));
    if (out.dtype != values[i].dtype)
      throw Error(Code::kDTypeMismatch, "carried value " + std::to_string(i) + " changes its dtype");
    copy(values[i], out);
  }
}

void ControlState::run_loop(std::span<const Tensor> inputs) {
  const auto carried = static_cast<size_t>(count("carried")), scans = static_cast<size_t>(count("scans"));
  Frame& frame = body(0);
  const Program& program = frame.program();
  int64_t limit = INT64_MAX;
  if (inputs[0].rank >= 0) {
    if (inputs[0].dtype != DType::kInt64 || inputs[0].count() != 1)
      throw Error(Code::kShapeMismatch, "the trip count must be one int64, received " + dims_text(inputs[0]));
    limit = *inputs[0].as<int64_t>();
  }
  int64_t iteration = 0;
  uint8_t go_on = inputs[1].rank < 0 || truth(inputs[1], "the condition");
  std::vector<Tensor> values;
  values.push_back(scalar_input(0, DType::kInt64, &iteration, program));
  values.push_back(scalar_input(1, DType::kBool, &go_on, program));
  for (size_t i = 2; i < inputs.size(); ++i) {
    if (inputs[i].rank < 0) throw Error(Code::kInvalidArgument, "input " + std::to_string(i) + " is missing");
    values.push_back(arranged(i, inputs[i], program));
  }
  IterationSink sink(program, side_, rooms_, 1 + carried, scans);
  for (; iteration < limit && go_on; ++iteration) {
    check_iteration(iteration);
    frame.run(values, parent_.symbols(), sink, parent_.options());
    go_on = truth(frame.output(0), "the condition");
    for (size_t i = 0; i < carried; ++i) values[2 + i] = arranged(2 + i, frame.output(1 + i), program);
    sink.gather();
    sink.next();
  }
  deliver_carried(std::span(values).subspan(2), carried);
  for (size_t k = 0; k < scans; ++k) {
    const size_t output = carried + k;
    if (parent_.omitted(output)) continue;
    auto& g = sink.gathered[k];
    std::vector<int64_t> dims{iteration};
    if (iteration > 0) {
      dims.insert(dims.end(), g.dims.begin(), g.dims.end());
    } else {
      // No iteration told the shape: what the plan knows of it, with 0 for the rest.
      const int rank = program.values()[static_cast<size_t>(program.outputs()[1 + output])].rank;
      for (int a = 0; a < rank; ++a)
        dims.push_back(std::max<int64_t>(0, parent_.planned_extent(step_.outputs[output], static_cast<size_t>(a) + 1)));
      g.dtype = program.values()[static_cast<size_t>(program.outputs()[1 + output])].dtype;
    }
    Tensor& out = parent_.place_output(output, dims);
    if (out.dtype != g.dtype)
      throw Error(Code::kDTypeMismatch, "scan output " + std::to_string(k) + " has another dtype than the step's");
    Tensor all = dense(out.dtype, dims, sink.scan_data(k));
    all.on_device = out.on_device;
    copy(all, out);
  }
  sink.trim();
}

void ControlState::run_scan(std::span<const Tensor> inputs) {
  const auto carried = static_cast<size_t>(count("carried")), scanned = static_cast<size_t>(count("numScanInputs")),
             scans = static_cast<size_t>(count("scans"));
  Frame& frame = body(0);
  const Program& program = frame.program();
  const auto listed = [&](const char* name, size_t i) {
    const auto list = step_.attributes.integers(name);
    return i < list.size() ? list[i] : 0;
  };
  // An axis attribute as an index; `rank` counts the scanned axis.
  const auto axis_of = [&](const char* name, size_t i, int rank) {
    int64_t axis = listed(name, i);
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank)
      throw Error(Code::kInvalidArgument, std::string(name) + "[" + std::to_string(i) +
                                              "] is no axis of a tensor of rank " + std::to_string(rank));
    return static_cast<int>(axis);
  };
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].rank < 0) throw Error(Code::kInvalidArgument, "input " + std::to_string(i) + " is missing");

  int64_t length = -1;
  std::vector<int> axes;
  std::vector<Tensor> values;
  for (size_t i = 0; i < carried; ++i) values.push_back(arranged(i, inputs[i], program));
  for (size_t k = 0; k < scanned; ++k) {
    const Tensor& t = inputs[carried + k];
    axes.push_back(axis_of("scanInputAxes", k, t.rank));
    const int64_t extent = t.dims[axes.back()];
    if (is_sub_byte(t.dtype)) throw Error(Code::kUnsupported, "scanning elements below 8 bits");
    if (length >= 0 && extent != length)
      throw Error(Code::kShapeMismatch,
                  "scan inputs of " + std::to_string(length) + " and " + std::to_string(extent) + " elements");
    length = extent;
    values.push_back(t);
  }
  for (size_t i = carried + scanned; i < inputs.size(); ++i) values.push_back(arranged(i, inputs[i], program));

  IterationSink sink(program, side_, rooms_, carried, scans);
  std::vector<Tensor> stacked(scans);
  for (int64_t t = 0; t < length; ++t) {
    check_iteration(t);
    for (size_t k = 0; k < scanned; ++k) {
      const Tensor& whole = inputs[carried + k];
      Tensor element = whole;
      for (int a = axes[k]; a + 1 < whole.rank; ++a) {
        element.dims[a] = whole.dims[a + 1];
        element.strides[a] = whole.strides[a + 1];
      }
      element.rank = whole.rank - 1;
      const int64_t at = listed("scanInputDirections", k) ? length - 1 - t : t;
      element.data = whole.as<std::byte>() + at * whole.strides[axes[k]] * info(whole.dtype).bits / 8;
      values[carried + k] = arranged(carried + k, element, program, true);
    }
    frame.run(values, parent_.symbols(), sink, parent_.options());
    for (size_t i = 0; i < carried; ++i) values[i] = arranged(i, frame.output(i), program);
    for (size_t k = 0; k < scans; ++k) {
      sink.gathered[k].used = 0;  // each element goes to its place at once
      if (parent_.omitted(carried + k)) continue;
      const Tensor& element = frame.output(carried + k);
      const int axis = axis_of("scanOutputAxes", k, element.rank + 1);
      if (t == 0) {
        std::vector<int64_t> dims(element.dims, element.dims + element.rank);
        dims.insert(dims.begin() + axis, length);
        stacked[k] = parent_.place_output(carried + k, dims);
        if (stacked[k].dtype != element.dtype)
          throw Error(Code::kDTypeMismatch, "scan output " + std::to_string(k) + " has another dtype than the step's");
      }
      Tensor into = element;
      for (int a = 0, b = 0; b < stacked[k].rank; ++b)
        if (b != axis) into.strides[a++] = stacked[k].strides[b];
      const int64_t at = listed("scanOutputDirections", k) ? length - 1 - t : t;
      into.data = stacked[k].as<std::byte>() + at * stacked[k].strides[axis] * info(into.dtype).bits / 8;
      copy(element, into);
    }
    sink.next();
  }
  deliver_carried(values, carried);
  for (size_t k = 0; k < scans && length == 0; ++k) {
    if (parent_.omitted(carried + k)) continue;
    const int rank = program.values()[static_cast<size_t>(program.outputs()[carried + k])].rank + 1;
    std::vector<int64_t> dims;
    const int axis = axis_of("scanOutputAxes", k, std::max(rank, 1));
    for (int a = 0; a < std::max(rank, 1); ++a)
      dims.push_back(
          a == axis ? 0
                    : std::max<int64_t>(0, parent_.planned_extent(step_.outputs[carried + k], static_cast<size_t>(a))));
    parent_.place_output(carried + k, dims);
  }
}

void ControlState::add_memory(MemoryUse& use) const {
  for (const auto& frame : bodies_) {
    if (!frame) continue;
    const MemoryUse nested = frame->memory();
    use.arena += nested.arena;
    use.heap += nested.heap;
    use.workspace += nested.workspace;
    use.device += nested.device;
    use.recordings += nested.recordings;
  }
  for (const auto* list : {&staging_, &rooms_}) {
    for (const Room& room : *list) {
      use.heap += room.capacity();
      use.device += room.device_bytes();
    }
  }
}

}  // namespace tw
