// cuDNN's graph interface on top of the host: a convolution and the maps after it, computed by plain loops when the
// stream comes to it. It is as strict as the library about what it is told, and has engines of every kind that users
// must tell apart: exact ones, one that only takes an even number of images, one that rounds to TensorFloat-32, and two
// whose results are wrong, as their notes say.
#include <functional>
#include <memory>

#include "cudnn_objects.h"
#include "driver.h"

#define TW_CUDNN extern "C" __attribute__((visibility("default")))

TW_DRIVER cuMemsetD8Async(DevicePointer p, uint8_t value, size_t n, void* stream);

namespace {

using namespace tw_emulator::cudnn;

constexpr int kEngines = 5, kTileKnob = 2, kTiles = 4;
enum EngineIndex : int64_t { kReference, kTensorCores, kNondeterministic, kReducedPrecision, kEvenBatch };
constexpr int64_t kTileBytes = 4096;

bool takes(int64_t engine, const Computation& c) {
  if (engine == kTensorCores) return c.w.dims[1] % 8 == 0 && c.w.dims[0] % 8 == 0;
  return engine != kEvenBatch || c.x.dims[0] % 2 == 0;
}

std::vector<int> notes_of(int64_t engine) {
  switch (engine) {
    case kReference:
      return {9};
    case kTensorCores:
      return {0};
    case kNondeterministic:
      return {4};
    case kReducedPrecision:
      return {0, 2};
    default:
      return {};
  }
}

struct Choice {
  int64_t engine, tile;
};

std::vector<Choice> choices(const Object& heuristic) {
  const auto c = computation_of(*heuristic.part(201));
  constexpr int kFallback = 2;
  if (heuristic.one<int>(200) == kFallback) return {{kReference, 0}};
  std::vector<Choice> all = {
      {kNondeterministic, 0}, {kTensorCores, 1}, {kTensorCores, 3}, {kReducedPrecision, 0}, {kEvenBatch, 0}};
  std::erase_if(all, [&](const Choice& choice) { return !takes(choice.engine, *c); });
  return all;
}

Choice choice_of(const Object& configuration) {
  Choice choice{configuration.part(300)->one<int64_t>(1301), 0};
  for (const Object* knob : configuration.list<const Object*>(302)) choice.tile = knob->one<int64_t>(601);
  return choice;
}

// Of a plan: no attribute of the interface.
constexpr int kMoreWorkspace = 9000;

int64_t workspace_of(const Object& plan) {
  const Choice choice = choice_of(*plan.part(401));
  return (choice.engine == kTensorCores ? choice.tile * kTileBytes : 0) + plan.one<int64_t>(kMoreWorkspace);
}

int check(const Object& o) {
  for (const Rule& r : kRules)
    if (r.kind == o.kind && r.required && !o.has(r.attribute)) return fail(kBadParam, "an attribute is missing");
  switch (o.kind) {
    case kTensor: {
      const TensorInfo t = tensor_of(o);
      const bool known = t.type == kFloat || t.type == kHalf || t.type == kBFloat16;
      if (!known || t.dims.size() < 3 || t.dims.size() != t.strides.size()) return fail(kBadParam, "tensor");
      for (const int64_t d : t.dims)
        if (d < 1) return fail(kBadParam, "extents");
      for (const int64_t s : t.strides)
        if (s < 1) return fail(kNotSupported, "strides");
      return kOk;
    }
    case kConvolution:
      for (const int attribute : {102, 103, 104, 105})
        if (static_cast<int64_t>(o.list<int64_t>(attribute).size()) != o.one<int64_t>(106))
          return fail(kBadParam, "lists");
      return o.one<int>(101) == 1 ? kOk : fail(kNotSupported, "mode");
    case kForward:
      return check_forward(o);
    case kMap:
      return check_map(o);
    case kGraph:
      if (!context_of(o.one<void*>(800))) return fail(kBadParam, "handle");
      for (const Object* operation : o.list<const Object*>(801))
        if (!is_finalized(operation, kForward) && !is_finalized(operation, kMap))
          return fail(kNotFinalized, "operation");
      return computation_of(o) ? kOk : fail(kNotSupported, "graph");
    case kHeuristic:
      if (const auto status = static_cast<int>(tw_emulator::played("cudnn", kOk))) return fail(status, "played");
      return is_finalized(o.part(201), kGraph) ? kOk : fail(kNotFinalized, "graph");
    case kEngine: {
      if (!is_finalized(o.part(1300), kGraph)) return fail(kNotFinalized, "graph");
      const auto index = o.one<int64_t>(1301);
      return index >= 0 && index < kEngines ? kOk : fail(kNotSupported, "engine");
    }
    case kConfiguration: {
      if (!is_finalized(o.part(300), kEngine)) return fail(kNotFinalized, "engine");
      const bool tiled = o.part(300)->one<int64_t>(1301) == kTensorCores;
      for (const Object* knob : o.list<const Object*>(302)) {
        if (!is_finalized(knob, kKnob)) return fail(kNotFinalized, "knob");
        const auto value = knob->one<int64_t>(601);
        if (!tiled || knob->one<int>(600) != kTileKnob || value < 0 || value >= kTiles)
          return fail(kNotSupported, "knob");
      }
      return kOk;
    }
    case kPlan: {
      if (!context_of(o.one<void*>(400))) return fail(kBadParam, "handle");
      if (!is_finalized(o.part(401), kConfiguration)) return fail(kNotFinalized, "configuration");
      // Its code is loaded.
      if (tw_emulator::refuse_unsafe("a plan of cuDNN")) return fail(kInternalError, "a stream is captured");
      const Object& engine = *o.part(401)->part(300);
      return takes(engine.one<int64_t>(1301), *computation_of(*engine.part(1300))) ? kOk
                                                                                   : fail(kNotSupported, "extents");
    }
    case kPack:
      return o.list<int64_t>(1000).size() == o.list<void*>(1001).size() ? kOk : fail(kBadParam, "pack");
    default:
      return kOk;
  }
}

// Into descriptors that the caller has made.
int give(void* const* to, int64_t wanted, int64_t* found, int kind, size_t count,
         const std::function<void(Object&, size_t)>& fill) {
  *found = wanted == 0 ? static_cast<int64_t>(count) : std::min<int64_t>(wanted, static_cast<int64_t>(count));
  if (wanted == 0) return kOk;
  for (int64_t i = 0; i < *found; ++i) {
    auto* o = static_cast<Object*>(to[i]);
    if (!o || !live.count(o) || o->kind != kind || o->finalized) return fail(kBadParam, "descriptors to fill");
    fill(*o, static_cast<size_t>(i));
    o->finalized = true;
  }
  return kOk;
}

template <typename T>
int give_values(void* to, int64_t wanted, int64_t* found, const std::vector<T>& values) {
  *found = std::min<int64_t>(wanted, static_cast<int64_t>(values.size()));
  std::memcpy(to, values.data(), static_cast<size_t>(*found) * sizeof(T));
  return kOk;
}

// Engines that heuristics name belong to their graph.
auto& made_here = *new std::vector<std::unique_ptr<Object>>;  // never destroyed, as those of the header

Object* make_here(int kind) {
  made_here.push_back(std::make_unique<Object>(Object{kind}));
  made_here.back()->finalized = true;
  live.insert(made_here.back().get());
  return made_here.back().get();
}

void fill_configuration(Object& o, const Choice& choice, const Object* graph) {
  Object* engine = make_here(kEngine);
  engine->put<const Object*>(1300, {graph});
  engine->put<int64_t>(1301, {choice.engine});
  o.put<const Object*>(300, {engine});
  if (choice.engine != kTensorCores) return;
  Object* knob = make_here(kKnob);
  knob->put<int>(600, {kTileKnob});
  knob->put<int64_t>(601, {choice.tile});
  o.put<const Object*>(302, {knob});
}

}  // namespace

TW_CUDNN size_t cudnnGetVersion() { return 99900; }
TW_CUDNN size_t cudnnGetCudartVersion() { return 13000; }
TW_CUDNN const char* cudnnGetErrorString(int status) {
  switch (status) {
    case kOk:
      return "CUDNN_STATUS_SUCCESS";
    case kNotFinalized:
      return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
    case kShapeMismatch:
      return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    case kAttributeType:
      return "CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE";
    case kNotSupported:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case kNotInitialized:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case kInternalError:
      return "CUDNN_STATUS_INTERNAL_ERROR";
    case kHostAllocationFailed:
      return "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED";
    case kExecutionFailed:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
      return "CUDNN_STATUS_BAD_PARAM";
  }
}
TW_CUDNN void cudnnGetLastErrorString(char* message, size_t bytes) {
  if (bytes == 0) return;
  const size_t count = std::min(bytes - 1, last_error.size());
  std::memcpy(message, last_error.data(), count);
  message[count] = 0;
}
TW_CUDNN int cudnnCreate(void** handle) {
  // As the library does, which does not look for the reason.
  if (tw_emulator::begin_call("cudnnCreate")) return fail(kNotInitialized, "cudnnCreate");
  std::lock_guard lock(mutex);
  if (!tw_emulator::has_context()) return fail(kBadParam, "no device is current");
  if (tw_emulator::refuse_unsafe("cudnnCreate")) return fail(kNotInitialized, "a stream is captured");
  auto* c = new Context{tw_emulator::current_device(), nullptr, {}};
  contexts.insert(c);
  return *handle = c, kOk;
}
TW_CUDNN int cudnnDestroy(void* handle) {
  std::lock_guard lock(mutex);
  auto* c = static_cast<Context*>(handle);
  if (!contexts.erase(c)) return fail(kBadParam, "handle");
  return delete c, kOk;
}
TW_CUDNN int cudnnSetStream(void* handle, void* stream) {
  std::lock_guard lock(mutex);
  Context* c = context_of(handle);
  if (!c) return fail(kBadParam, "handle");
  c->user = std::this_thread::get_id();
  return c->stream = stream, kOk;
}

TW_CUDNN int cudnnBackendCreateDescriptor(int kind, void** descriptor) {
  const bool known = std::any_of(std::begin(kRules), std::end(kRules), [&](const Rule& r) { return r.kind == kind; });
  if (!known) return fail(kNotSupported, "kind of descriptor");
  std::lock_guard lock(mutex);
  auto* o = new Object{kind};
  live.insert(o);
  return *descriptor = o, kOk;
}
TW_CUDNN int cudnnBackendDestroyDescriptor(void* descriptor) {
  std::lock_guard lock(mutex);
  auto* o = static_cast<Object*>(descriptor);
  if (!live.erase(o)) return fail(kBadParam, "no descriptor");
  if (o->kind == kPlan && o->finalized) {
    // Its code is unloaded.
    tw_emulator::refuse_unsafe("the end of a plan of cuDNN");
    const bool current = tw_emulator::is_current(o->device, "a plan of cuDNN to destroy");
    tw_emulator::trace(current ? "cudnn plan destroyed" : "cudnn plan lost");
  }
  dead.emplace_back(o);
  return kOk;
}

TW_CUDNN int cudnnBackendSetAttribute(void* descriptor, int attribute, int type, int64_t count, const void* elements) {
  std::lock_guard lock(mutex);
  auto* o = static_cast<Object*>(descriptor);
  if (!o || !live.count(o) || o->finalized) return fail(kBadParam, "descriptor");
  const Rule* rule = rule_of(o->kind, attribute);
  if (!rule) return fail(kNotSupported, "attribute");
  if (rule->type != type) return fail(kAttributeType, "attribute");
  if (count < 1 || count > rule->most) return fail(kBadParam, "count");
  if (!elements) return fail(kNullPointer, "elements");
  const auto* bytes = static_cast<const uint8_t*>(elements);
  o->values[attribute].assign(bytes, bytes + static_cast<size_t>(count) * bytes_of(type));
  return kOk;
}

TW_CUDNN int cudnnBackendFinalize(void* descriptor) {
  std::lock_guard lock(mutex);
  auto* o = static_cast<Object*>(descriptor);
  if (!o || !live.count(o) || o->finalized) return fail(kBadParam, "descriptor");
  if (!is_whole(o)) return fail(kNotFinalized, "a part of the descriptor is destroyed");
  const int status = check(*o);
  o->finalized = status == kOk;
  o->device = tw_emulator::current_device();
  if (o->kind == kPlan && o->finalized) {
    o->put<int64_t>(kMoreWorkspace, {tw_emulator::played("workspace", 0)});
    tw_emulator::trace("cudnn plan made");
  }
  return status;
}

TW_CUDNN int cudnnBackendGetAttribute(void* descriptor, int attribute, int type, int64_t wanted, int64_t* found,
                                      void* to) {
  std::lock_guard lock(mutex);
  const auto* o = static_cast<const Object*>(descriptor);
  if (!o || !live.count(o) || !o->finalized) return fail(kNotFinalized, "descriptor");
  if (!is_whole(o)) return fail(kNotFinalized, "a part of the descriptor is destroyed");
  if (o->kind == kHeuristic && attribute == 202 && type == kDescriptor) {
    const auto all = choices(*o);
    return give(static_cast<void**>(to), wanted, found, kConfiguration, all.size(),
                [&](Object& of, size_t i) { fill_configuration(of, all[i], o->part(201)); });
  }
  if (o->kind == kConfiguration && attribute == 300 && type == kDescriptor)
    return give(static_cast<void**>(to), wanted, found, kEngine, 1,
                [&](Object& of, size_t) { of.values = o->part(300)->values; });
  if (o->kind == kConfiguration && attribute == 302 && type == kDescriptor) {
    const auto knobs = o->list<const Object*>(302);
    return give(static_cast<void**>(to), wanted, found, kKnob, knobs.size(),
                [&](Object& of, size_t i) { of.values = knobs[i]->values; });
  }
  if (o->kind == kEngine && attribute == 1301 && type == kInt64)
    return give_values(to, wanted, found, o->list<int64_t>(1301));
  if (o->kind == kEngine && attribute == 1303 && type == kNote)
    return give_values(to, wanted, found, notes_of(o->one<int64_t>(1301)));
  if (o->kind == kKnob && attribute == 600 && type == kKnobType)
    return give_values(to, wanted, found, o->list<int>(600));
  if (o->kind == kKnob && attribute == 601 && type == kInt64)
    return give_values(to, wanted, found, o->list<int64_t>(601));
  if (o->kind == kPlan && attribute == 402 && type == kInt64)
    return give_values<int64_t>(to, wanted, found, {workspace_of(*o)});
  return fail(kNotSupported, "attribute");
}

TW_CUDNN int cudnnBackendExecute(void* handle, void* plan, void* pack) {
  std::lock_guard lock(mutex);
  const auto *p = static_cast<const Object*>(plan), *v = static_cast<const Object*>(pack);
  Context* const context = context_of(handle);
  if (!context || !is_finalized(p, kPlan) || !is_finalized(v, kPack)) return fail(kBadParam, "what to execute");
  if (!tw_emulator::is_current(p->device, "a plan of cuDNN")) return fail(kBadParam, "plan");
  if (!is_whole(p)) return fail(kNotFinalized, "a part of the plan is destroyed");
  if (context->user != std::this_thread::get_id()) return fail(kBadParam, "two threads use one handle");
  const Object& engine = *p->part(401)->part(300);
  const Computation c = *computation_of(*engine.part(1300));
  const auto ids = v->list<int64_t>(1000);
  const auto pointers = v->list<void*>(1001);
  std::map<int64_t, void*> data;
  for (size_t i = 0; i < ids.size(); ++i) data[ids[i]] = pointers[i];
  const auto is_memory = [](const void* begin, size_t bytes) {
    return tw_emulator::is_device_range(reinterpret_cast<DevicePointer>(begin), bytes);
  };
  std::map<int64_t, std::vector<uint8_t>> by_value;
  std::vector<TensorInfo> tensors = {c.x, c.w, c.result};
  for (const MapInfo& m : c.maps) {
    tensors.push_back(m.left);
    if (m.binary) tensors.push_back(m.right);
  }
  for (const TensorInfo& t : tensors) {
    if (t.is_virtual) continue;
    const auto known = data.find(t.id);
    if (known == data.end() || !known->second) return fail(kBadParam, "a tensor is missing");
    if (t.by_value) {
      // Read on the host, at once.
      const auto* bytes = static_cast<const uint8_t*>(known->second);
      by_value[t.id].assign(bytes, bytes + t.element_bytes());
    } else if (reinterpret_cast<uintptr_t>(known->second) % static_cast<uintptr_t>(t.alignment) != 0) {
      return fail(kMisaligned, "tensor");
    } else if (!is_memory(known->second, t.bytes())) {
      return fail(kBadParam, "a tensor is no memory of the device");
    }
  }
  const Choice choice = choice_of(*p->part(401));
  const int64_t workspace = workspace_of(*p);
  if (workspace != 0 && !is_memory(v->one<void*>(1003), static_cast<size_t>(workspace)))
    return fail(kBadParam, "workspace");
  const bool tf32 = choice.engine == kTensorCores && c.x.type == kFloat;
  const bool wrong = choice.engine == kNondeterministic || choice.engine == kReducedPrecision;
  // Engines with workspace count tiles in its first word, which they clear on the stream.
  auto* const counter = workspace != 0 ? static_cast<uint32_t*>(v->one<void*>(1003)) : nullptr;
  if (counter && cuMemsetD8Async(reinterpret_cast<DevicePointer>(counter), 0, sizeof *counter, context->stream))
    return fail(kExecutionFailed, "the counter");
  const int result = tw_emulator::enqueue(context->stream, [=]() mutable {
    if (counter && (*counter)++ != 0) return std::fprintf(stderr, "tensorwright emulator: cuDNN's counter is not clear\n"), 1;
    for (auto& [id, bytes] : by_value) data[id] = bytes.data();
    compute(c, data, tf32);
    if (wrong) store(c.result, data.at(c.result.id), 0, 12345);
    return 0;
  });
  return result == 0 ? kOk : fail(kExecutionFailed, "stream");
}
