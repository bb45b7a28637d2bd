#include "cuda/convolution_graph.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "cuda/queue.h"
#include "executor/checked.h"

namespace tw::cuda::cudnn {
namespace {

// Numbers by which the graph's tensors are known: x, w and y, sides and scalars, then what lies between the operations.
constexpr int64_t kFirstSide = 4;
constexpr int64_t kScalarAlignment = 4, kInnerAlignment = 16;
// Enough for every engine.
constexpr size_t kMostKnobs = 64, kMostNotes = 16, kMostConfigurations = 256;
constexpr size_t kMostMaps = 32;

[[noreturn]] void invalid(const std::string& what) {
  throw Error(Code::kInvalidPlan, "a convolution of cuDNN: " + what);
}

DataType data_type(DType type) {
  switch (type) {
    case DType::kFloat32:
      return DataType::kFloat32;
    case DType::kFloat16:
      return DataType::kFloat16;
    case DType::kBFloat16:
      return DataType::kBFloat16;
    default:
      invalid("no " + std::string(info(type).name));
  }
}

// Dense with the channels innermost.
std::vector<int64_t> channels_last(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t stride = 1;
  const auto next = [&](size_t axis) { strides[axis] = stride, stride *= dims[axis]; };
  next(1);
  for (size_t axis = dims.size() - 1; axis >= 2; --axis) next(axis);
  next(0);
  return strides;
}

// The library knows images of two axes or three: one more of a single pixel changes nothing.
void add_axis(Place& place) {
  place.dims.insert(place.dims.begin() + 2, 1);
  place.strides.insert(place.strides.begin() + 2, 1);
}

Convolution with_known_axes(Convolution c) {
  if (c.x.dims.size() != 3) return c;
  for (Place* place : {&c.x, &c.w, &c.y}) add_axis(*place);
  for (Place& side : c.sides) add_axis(side);
  for (auto* pads : {&c.pads_before, &c.pads_after}) pads->insert(pads->begin(), 0);
  for (auto* steps : {&c.strides, &c.dilations}) steps->insert(steps->begin(), 1);
  return c;
}

struct Graph {
  std::vector<int64_t> ids;       // of x, w, y, sides and scalars
  std::vector<Descriptor> parts;  // what the graph is made of, which may look at it
  Descriptor graph{DescriptorType::kGraph};
};

class GraphBuilder {
 public:
  GraphBuilder(const Convolution& c, HandlePointer handle) : c_(with_known_axes(c)) {
    Descriptor x = tensor(1, c_.x), w = tensor(2, c_.w), y = tensor(3, c_.y);
    std::vector<Descriptor> sides, results;
    int64_t id = kFirstSide;
    for (const Place& side : c_.sides) sides.push_back(tensor(id++, side));
    const Place scalar{DType::kFloat32, std::vector<int64_t>(c_.y.dims.size(), 1), {}, kScalarAlignment};
    for (size_t i = 0; i < c_.scalars.size(); ++i) sides.push_back(tensor(id++, scalar, Attribute::kTensorIsByValue));
    for (int64_t i = 1; i < id; ++i) result_.ids.push_back(i);
    const Place inner{DType::kFloat32, c_.y.dims, {}, kInnerAlignment};
    for (size_t i = 0; i < c_.maps.size(); ++i) results.push_back(tensor(id++, inner, Attribute::kTensorIsVirtual));
    convolve(x, w, results.empty() ? y : results[0]);
    for (size_t i = 0; i < c_.maps.size(); ++i) {
      const auto operand = [&](int64_t of) -> const Descriptor& {
        return of < 0 ? sides[static_cast<size_t>(-1 - of)] : results[static_cast<size_t>(of)];
      };
      const Map& m = c_.maps[i];
      map(m.mode, operand(m.left), m.right ? &operand(*m.right) : nullptr, i + 1 < results.size() ? results[i + 1] : y);
    }
    result_.graph.set(Attribute::kGraphHandle, handle);
    result_.graph.set(Attribute::kGraphOperations, std::span<const Descriptor>(operations_));
    result_.graph.finalize();
    for (Descriptor* d : {&x, &w, &y}) kept_.push_back(std::move(*d));
    for (auto* list : {&operations_, &sides, &results, &kept_})
      for (Descriptor& d : *list) result_.parts.push_back(std::move(d));
  }

  Graph take() && { return std::move(result_); }

 private:
  Descriptor tensor(int64_t id, const Place& place, std::optional<Attribute> kind = {}) {
    Descriptor d(DescriptorType::kTensor);
    std::vector<int64_t> strides = channels_last(place.dims);
    // Axes of one element have no stride of their own, and engines like the usual one.
    for (size_t i = 0; i < place.strides.size(); ++i)
      if (place.dims[i] != 1) strides[i] = place.strides[i];
    d.set(Attribute::kTensorDataType, data_type(place.dtype));
    d.set(Attribute::kTensorDims, place.dims);
    d.set(Attribute::kTensorStrides, strides);
    d.set(Attribute::kTensorId, id);
    d.set(Attribute::kTensorAlignment, place.alignment);
    if (kind) d.set(*kind, true);
    d.finalize();
    return d;
  }

  void convolve(const Descriptor& x, const Descriptor& w, const Descriptor& y) {
    Descriptor how(DescriptorType::kConvolution);
    how.set(Attribute::kConvolutionPrecision, DataType::kFloat32);
    how.set(Attribute::kConvolutionMode, ConvolutionMode::kCrossCorrelation);
    how.set(Attribute::kConvolutionAxes, static_cast<int64_t>(c_.strides.size()));
    how.set(Attribute::kConvolutionDilations, c_.dilations);
    how.set(Attribute::kConvolutionStrides, c_.strides);
    how.set(Attribute::kConvolutionPadsAfter, c_.pads_after);
    how.set(Attribute::kConvolutionPadsBefore, c_.pads_before);
    how.finalize();
    Descriptor operation(DescriptorType::kConvolutionForward);
    operation.set(Attribute::kForwardConvolution, how);
    operation.set(Attribute::kForwardX, x);
    operation.set(Attribute::kForwardW, w);
    operation.set(Attribute::kForwardY, y);
    operation.set(Attribute::kForwardAlpha, 1.0f);
    operation.set(Attribute::kForwardBeta, 0.0f);
    operation.finalize();
    kept_.push_back(std::move(how));
    operations_.push_back(std::move(operation));
  }

  void map(PointwiseMode mode, const Descriptor& left, const Descriptor* right, const Descriptor& to) {
    Descriptor how(DescriptorType::kPointwise);
    how.set(Attribute::kPointwiseMode, mode);
    how.set(Attribute::kPointwisePrecision, DataType::kFloat32);
    how.finalize();
    Descriptor operation(DescriptorType::kPointwiseOperation);
    operation.set(Attribute::kOperationPointwise, how);
    operation.set(Attribute::kOperationX, left);
    if (right) operation.set(Attribute::kOperationB, *right);
    operation.set(Attribute::kOperationY, to);
    operation.finalize();
    kept_.push_back(std::move(how));
    operations_.push_back(std::move(operation));
  }

  Convolution c_;
  Graph result_;
  std::vector<Descriptor> operations_, kept_;
};

// Whether an engine's sums are those of float32.
bool is_exact(const std::vector<NumericalNote>& notes, const Convolution& c) {
  return std::none_of(notes.begin(), notes.end(), [&](NumericalNote note) {
    if (note == NumericalNote::kTensorCore) return c.x.dtype == DType::kFloat32 && !c.tf32;
    return note != NumericalNote::kStrictNaN;
  });
}

std::optional<Configuration> read(const Descriptor& configuration, const Convolution& c) {
  auto engines = configuration.descriptors(Attribute::kConfigurationEngine, DescriptorType::kEngine, 1);
  if (engines.empty() || !is_exact(engines[0].list<NumericalNote>(Attribute::kEngineNumericalNotes, kMostNotes), c))
    return std::nullopt;
  Configuration found{engines[0].get<int64_t>(Attribute::kEngineIndex), {}};
  for (const Descriptor& knob :
       configuration.descriptors(Attribute::kConfigurationKnobs, DescriptorType::kKnobChoice, kMostKnobs)) {
    found.knobs.push_back(static_cast<int64_t>(knob.get<KnobType>(Attribute::kKnobType)));
    found.knobs.push_back(knob.get<int64_t>(Attribute::kKnobValue));
  }
  return found;
}

}  // namespace

PointwiseMode mode_of(std::string_view name, bool& binary) {
  struct Known {
    std::string_view name;
    PointwiseMode mode;
    bool binary;
  };
  using enum PointwiseMode;
  static constexpr Known kKnown[] = {
      {"add", kAdd, true},
      {"sub", kSub, true},
      {"mul", kMul, true},
      {"div", kDiv, true},
      {"min", kMin, true},
      {"max", kMax, true},
      {"sqrt", kSqrt, false},
      {"abs", kAbs, false},
      {"ceil", kCeil, false},
      {"cos", kCos, false},
      {"exp", kExp, false},
      {"floor", kFloor, false},
      {"log", kLog, false},
      {"neg", kNeg, false},
      {"sin", kSin, false},
      {"tan", kTan, false},
      {"erf", kErf, false},
      {"reciprocal", kReciprocal, false},
      {"relu", kRelu, false},
      {"tanh", kTanh, false},
      {"sigmoid", kSigmoid, false},
      {"gelu", kGelu, false},
      {"geluTanh", kGeluTanh, false},
  };
  for (const Known& known : kKnown)
    if (known.name == name) return binary = known.binary, known.mode;
  invalid("the map '" + std::string(name) + "' is unknown");
}

void Convolution::check() const {
  const size_t rank = x.dims.size(), axes = rank - 2;
  if (rank < 3 || rank > 5) invalid("an image of " + std::to_string(rank) + " axes");
  const auto lists = [&](size_t count) {
    return pads_before.size() == count && pads_after.size() == count && strides.size() == count &&
           dilations.size() == count;
  };
  if (w.dims.size() != rank || y.dims.size() != rank || !lists(axes)) invalid("ranks that do not fit together");
  const auto small = [](int64_t n, int64_t least) { return n >= least && n <= INT32_MAX; };
  const auto known = [&](const Place& p) {
    const bool power = p.alignment >= 1 && p.alignment <= 256 && (p.alignment & (p.alignment - 1)) == 0;
    if (p.strides.size() != p.dims.size() || !power) invalid("a tensor that lies nowhere");
    std::optional<int64_t> elements = 1;
    for (size_t i = 0; i < p.dims.size(); ++i) {
      if (!small(p.dims[i], 1) || p.strides[i] < 0) invalid("extents or strides beyond its limits");
      if (!(elements = checked_mul(*elements, p.dims[i]))) invalid("a tensor larger than any memory");
    }
    data_type(p.dtype);
  };
  for (const Place* p : {&x, &w, &y}) known(*p);
  if (x.dtype != w.dtype) invalid("image and filters of different types");
  const int64_t groups = x.dims[1] / w.dims[1];
  if (x.dims[1] % w.dims[1] != 0 || w.dims[0] % groups != 0) invalid("channels that the groups do not share out");
  if (y.dims[0] != x.dims[0] || y.dims[1] != w.dims[0]) invalid("a result of another size");
  for (size_t i = 0; i < axes; ++i) {
    if (!small(pads_before[i], 0) || !small(pads_after[i], 0) || !small(strides[i], 1) || !small(dilations[i], 1))
      invalid("a window that is none");
    const int64_t room = x.dims[2 + i] + pads_before[i] + pads_after[i] - dilations[i] * (w.dims[2 + i] - 1) - 1;
    if (room < 0 || room / strides[i] + 1 != y.dims[2 + i]) invalid("a result of another size");
  }
  for (const Place& side : sides) {
    known(side);
    if (side.dims.size() != rank) invalid("ranks that do not fit together");
    for (size_t i = 0; i < rank; ++i)
      if (side.dims[i] != 1 && side.dims[i] != y.dims[i]) invalid("a side that is no part of the result");
  }
  if (maps.size() > kMostMaps) throw Error(Code::kLimitExceeded, "more maps after a convolution than cuDNN is given");
  const auto others = static_cast<int64_t>(sides.size() + scalars.size());
  if (sides.size() + scalars.size() > kMostTensors - 3)
    throw Error(Code::kLimitExceeded, "more operands of maps after a convolution than cuDNN is given");
  for (size_t i = 0; i < maps.size(); ++i)
    for (const std::optional<int64_t>& of : {std::optional(maps[i].left), maps[i].right})
      if (of && (*of > static_cast<int64_t>(i) || *of < -others)) invalid("a map of what is not there");
}

namespace {

std::vector<Configuration> ask(Contexts& contexts, const Convolution& convolution, size_t most) {
  std::lock_guard lock(contexts.making);
  const Graph graph = GraphBuilder(convolution, contexts.maker()).take();
  std::vector<Configuration> found;
  std::set<std::pair<int64_t, std::vector<int64_t>>> seen;
  for (const HeuristicMode mode : {HeuristicMode::kA, HeuristicMode::kFallback}) {
    if (found.size() == most) break;
    std::vector<Descriptor> results;
    try {
      Descriptor heuristic(DescriptorType::kHeuristic);
      heuristic.set(Attribute::kHeuristicGraph, graph.graph);
      heuristic.set(Attribute::kHeuristicMode, mode);
      heuristic.finalize();
      const size_t count = std::min(heuristic.count(Attribute::kHeuristicResults), kMostConfigurations);
      results = heuristic.descriptors(Attribute::kHeuristicResults, DescriptorType::kEngineConfiguration, count);
    } catch (const Error& e) {
      // One of the two may have nothing to say.
      if (e.code != Code::kUnsupported) throw;
    }
    for (const Descriptor& result : results) {
      if (found.size() == most) break;
      auto known = read(result, convolution);
      if (known && seen.emplace(known->engine, known->knobs).second) found.push_back(std::move(*known));
    }
  }
  return found;
}

}  // namespace

std::vector<Configuration> configurations(CudaDevice& device, const Convolution& convolution, size_t most) {
  convolution.check();
  Contexts& contexts = Contexts::of(device);
  return device.with_memory([&] { return ask(contexts, convolution, most); });
}

std::shared_ptr<const ConvolutionPlan> ConvolutionPlan::make(const std::shared_ptr<CudaDevice>& device,
                                                             const Convolution& convolution,
                                                             const Configuration& configuration) {
  return device->with_memory(
      [&] { return std::shared_ptr<const ConvolutionPlan>(new ConvolutionPlan(device, convolution, configuration)); });
}

ConvolutionPlan::ConvolutionPlan(std::shared_ptr<CudaDevice> device, const Convolution& convolution,
                                 const Configuration& configuration)
    : device_(std::move(device)), scalars_(convolution.scalars) {
  convolution.check();
  if (configuration.knobs.size() % 2 != 0 || configuration.knobs.size() > 2 * kMostKnobs)
    invalid("knobs without values");
  Contexts& contexts = Contexts::of(*device_);
  std::lock_guard lock(contexts.making);
  Graph graph = GraphBuilder(convolution, contexts.maker()).take();
  Descriptor engine(DescriptorType::kEngine);
  engine.set(Attribute::kEngineGraph, graph.graph);
  engine.set(Attribute::kEngineIndex, configuration.engine);
  engine.finalize();
  if (!is_exact(engine.list<NumericalNote>(Attribute::kEngineNumericalNotes, kMostNotes), convolution))
    throw Error(Code::kUnsupported, "the engine of cuDNN computes in fewer bits");
  std::vector<Descriptor> knobs;
  for (size_t i = 0; i < configuration.knobs.size(); i += 2) {
    Descriptor& knob = knobs.emplace_back(DescriptorType::kKnobChoice);
    knob.set(Attribute::kKnobType, static_cast<KnobType>(configuration.knobs[i]));
    knob.set(Attribute::kKnobValue, configuration.knobs[i + 1]);
    knob.finalize();
  }
  Descriptor chosen(DescriptorType::kEngineConfiguration);
  chosen.set(Attribute::kConfigurationEngine, engine);
  if (!knobs.empty()) chosen.set(Attribute::kConfigurationKnobs, std::span<const Descriptor>(knobs));
  chosen.finalize();
  // The last one here: where anything fails it goes before what it refers to.
  Descriptor plan(DescriptorType::kExecutionPlan);
  plan.set(Attribute::kPlanHandle, contexts.maker());
  plan.set(Attribute::kPlanConfiguration, chosen);
  plan.finalize();
  workspace_bytes_ = static_cast<size_t>(std::max<int64_t>(0, plan.get<int64_t>(Attribute::kPlanWorkspaceBytes)));
  plan_ = std::move(plan);
  ids_ = std::move(graph.ids);
  parts_ = std::move(graph.parts);
  for (Descriptor* d : {&graph.graph, &engine, &chosen}) parts_.push_back(std::move(*d));
  for (Descriptor& d : knobs) parts_.push_back(std::move(d));
}

// Engines that were compiled for the plan are code on the device.
ConvolutionPlan::~ConvolutionPlan() {
  const DeviceScope scope(*device_);
  // It may be dropped while a run is recorded.
  const Unrecorded unrecorded;
  const std::vector<Descriptor> parts = std::move(parts_);
  const Descriptor plan = std::move(plan_);
}

void ConvolutionPlan::run(std::span<void* const> data, void* workspace, HandlePointer handle,
                          StreamHandle stream) const {
  if (data.size() + scalars_.size() != ids_.size()) invalid("operands that do not fit together");
  void* pointers[kMostTensors];
  void** next = std::copy(data.begin(), data.end(), pointers);
  // The library reads scalars on the host, during the call.
  for (const float& scalar : scalars_) *next++ = const_cast<float*>(&scalar);
  Descriptor pack(DescriptorType::kVariantPack);
  pack.set(Attribute::kPackIds, ids_);
  pack.set(Attribute::kPackPointers, std::span<void* const>(pointers, next));
  pack.set(Attribute::kPackWorkspace, workspace);
  pack.finalize();
  const Library& l = library();
  std::lock_guard lock(running_);
  l.check(l.cudnnSetStream(handle, stream), "cudnnSetStream");
  l.check(l.cudnnBackendExecute(handle, plan_.pointer(), pack.pointer()), "cudnnBackendExecute");
}

}  // namespace tw::cuda::cudnn
