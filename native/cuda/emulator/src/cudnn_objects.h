// What the emulated cuDNN is told: descriptors with their attributes, kept as bytes and checked as the library checks
// them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cudnn_convolution.h"
#include "driver.h"

namespace tw_emulator::cudnn {

enum Status : int {
  kOk = 0,
  kNotInitialized = 1001,
  kBadParam = 2000,
  kNullPointer = 2002,
  kMisaligned = 2003,
  kNotFinalized = 2004,
  kShapeMismatch = 2008,
  kAttributeType = 2010,
  kNotSupported = 3000,
  kInternalError = 4000,
  kHostAllocationFailed = 4003,
  kExecutionFailed = 5000
};
enum Type : int {
  kHandle,
  kDataType,
  kBool,
  kInt64,
  kFloat32,
  kPointer = 6,
  kConvMode,
  kHeurMode,
  kKnobType,
  kNote = 11,
  kPwMode = 14,
  kDescriptor
};
enum Kind : int {
  kPointwise = 0,
  kConvolution = 1,
  kEngine = 2,
  kConfiguration = 3,
  kHeuristic = 4,
  kPlan = 5,
  kKnob = 7,
  kForward = 10,
  kMap = 13,
  kGraph = 15,
  kPack = 16,
  kTensor = 17
};

constexpr int kMostDims = 8;

inline size_t bytes_of(int type) {
  switch (type) {
    case kBool:
      return 1;
    case kDataType:
    case kFloat32:
    case kConvMode:
    case kHeurMode:
    case kKnobType:
    case kNote:
    case kPwMode:
      return 4;
    default:
      return 8;
  }
}

// What may be set: of which descriptor, by which type, at most how many; and whether it must be.
struct Rule {
  int kind, attribute, type;
  int64_t most;
  bool required;
};
constexpr Rule kRules[] = {
    {kPointwise, 0, kPwMode, 1, true},
    {kPointwise, 1, kDataType, 1, true},
    {kConvolution, 100, kDataType, 1, true},
    {kConvolution, 101, kConvMode, 1, true},
    {kConvolution, 102, kInt64, kMostDims, true},
    {kConvolution, 103, kInt64, kMostDims, true},
    {kConvolution, 104, kInt64, kMostDims, true},
    {kConvolution, 105, kInt64, kMostDims, true},
    {kConvolution, 106, kInt64, 1, true},
    {kHeuristic, 200, kHeurMode, 1, true},
    {kHeuristic, 201, kDescriptor, 1, true},
    {kConfiguration, 300, kDescriptor, 1, true},
    {kConfiguration, 302, kDescriptor, 64, false},
    {kPlan, 400, kHandle, 1, true},
    {kPlan, 401, kDescriptor, 1, true},
    {kKnob, 600, kKnobType, 1, true},
    {kKnob, 601, kInt64, 1, true},
    {kForward, 700, kFloat32, 1, true},
    {kForward, 701, kFloat32, 1, true},
    {kForward, 702, kDescriptor, 1, true},
    {kForward, 703, kDescriptor, 1, true},
    {kForward, 704, kDescriptor, 1, true},
    {kForward, 705, kDescriptor, 1, true},
    {kMap, 750, kDescriptor, 1, true},
    {kMap, 751, kDescriptor, 1, true},
    {kMap, 752, kDescriptor, 1, false},
    {kMap, 753, kDescriptor, 1, true},
    {kGraph, 800, kHandle, 1, true},
    {kGraph, 801, kDescriptor, 256, true},
    {kPack, 1000, kInt64, 256, true},
    {kPack, 1001, kPointer, 256, true},
    {kPack, 1003, kPointer, 1, true},
    {kTensor, 900, kInt64, 1, true},
    {kTensor, 901, kDataType, 1, true},
    {kTensor, 902, kInt64, kMostDims, true},
    {kTensor, 903, kInt64, kMostDims, true},
    {kTensor, 906, kInt64, 1, true},
    {kTensor, 907, kBool, 1, false},
    {kTensor, 908, kBool, 1, false},
    {kEngine, 1300, kDescriptor, 1, true},
    {kEngine, 1301, kInt64, 1, true},
};

inline const Rule* rule_of(int kind, int attribute) {
  for (const Rule& r : kRules)
    if (r.kind == kind && r.attribute == attribute) return &r;
  return nullptr;
}

struct Object {
  int kind;
  bool finalized = false;
  int device = 0;  // where a plan was made
  std::map<int, std::vector<uint8_t>> values = {};

  bool has(int attribute) const { return values.count(attribute) != 0; }
  template <typename T>
  std::vector<T> list(int attribute) const {
    const auto known = values.find(attribute);
    if (known == values.end()) return {};
    std::vector<T> out(known->second.size() / sizeof(T));
    std::memcpy(out.data(), known->second.data(), known->second.size());
    return out;
  }
  template <typename T>
  T one(int attribute) const {
    const auto values = list<T>(attribute);
    return values.empty() ? T{} : values[0];
  }
  const Object* part(int attribute) const { return one<const Object*>(attribute); }
  template <typename T>
  void put(int attribute, const std::vector<T>& elements) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(elements.data());
    values[attribute].assign(bytes, bytes + elements.size() * sizeof(T));
  }
};

struct Context {
  int device = 0;
  void* stream = nullptr;
  std::thread::id user;  // who has set the stream
};

inline std::mutex mutex;
// None of these is ever destroyed: threads go on while the process ends.
inline auto& live = *new std::set<const Object*>;
// Those that are gone, so that nothing else lies where they were.
inline auto& dead = *new std::vector<std::unique_ptr<Object>>;
inline auto& contexts = *new std::set<const Context*>;
inline thread_local std::string last_error;

inline int fail(int status, const char* why) { return last_error = why, status; }

// Whether all that a descriptor refers to is there still: the library reads it whenever the descriptor is used.
inline bool is_whole(const Object* o) {
  if (!live.count(o)) return false;
  return std::all_of(std::begin(kRules), std::end(kRules), [&](const Rule& r) {
    if (r.kind != o->kind || r.type != kDescriptor) return true;
    const auto parts = o->list<const Object*>(r.attribute);
    return std::all_of(parts.begin(), parts.end(), is_whole);
  });
}

// The context of the current device; null for any other.
inline Context* context_of(const void* handle) {
  auto* const c = static_cast<Context*>(const_cast<void*>(handle));
  return contexts.count(c) && is_current(c->device, "a context of cuDNN") ? c : nullptr;
}

inline bool is_finalized(const Object* o, int kind) { return o && live.count(o) && o->kind == kind && o->finalized; }

inline TensorInfo tensor_of(const Object& o) {
  return {o.one<int>(901),     o.list<int64_t>(902),     o.list<int64_t>(903),    o.one<int64_t>(906),
          o.one<int64_t>(900), o.one<uint8_t>(907) != 0, o.one<uint8_t>(908) != 0};
}

inline int check_forward(const Object& o) {
  const Object *how = o.part(702), *filters = o.part(703), *image = o.part(704), *result = o.part(705);
  if (!is_finalized(how, kConvolution)) return fail(kNotFinalized, "convolution");
  for (const Object* t : {filters, image, result})
    if (!is_finalized(t, kTensor)) return fail(kNotFinalized, "tensor");
  const TensorInfo x = tensor_of(*image), w = tensor_of(*filters), y = tensor_of(*result);
  const auto axes = static_cast<size_t>(how->one<int64_t>(106));
  if (axes < 2 || axes > 3 || x.dims.size() != axes + 2 || w.dims.size() != axes + 2 || y.dims.size() != axes + 2)
    return fail(kShapeMismatch, "axes");
  if (x.dims[1] % w.dims[1] != 0 || w.dims[0] % (x.dims[1] / w.dims[1]) != 0 || y.dims[1] != w.dims[0] ||
      y.dims[0] != x.dims[0])
    return fail(kShapeMismatch, "channels");
  const auto dilations = how->list<int64_t>(102), strides = how->list<int64_t>(103);
  const auto after = how->list<int64_t>(104), before = how->list<int64_t>(105);
  for (size_t i = 0; i < axes; ++i) {
    if (strides[i] < 1 || dilations[i] < 1) return fail(kBadParam, "steps of a window");
    const int64_t room = x.dims[2 + i] + before[i] + after[i] - dilations[i] * (w.dims[2 + i] - 1) - 1;
    if (room < 0 || room / strides[i] + 1 != y.dims[2 + i]) return fail(kShapeMismatch, "pixels");
  }
  return o.one<float>(700) == 1 && o.one<float>(701) == 0 ? kOk : fail(kNotSupported, "alpha and beta");
}

inline int check_map(const Object& o) {
  if (!is_finalized(o.part(750), kPointwise)) return fail(kNotFinalized, "pointwise");
  constexpr int kFirstUnary = 10, kSquareRoot = 4;
  const int mode = o.part(750)->one<int>(0);
  const bool binary = mode < kFirstUnary && mode != kSquareRoot;
  if (binary != o.has(752)) return fail(kBadParam, "operands of a map");
  if (!is_finalized(o.part(753), kTensor)) return fail(kNotFinalized, "tensor");
  const TensorInfo to = tensor_of(*o.part(753));
  for (const int attribute : {751, 752}) {
    if (!o.has(attribute)) continue;
    if (!is_finalized(o.part(attribute), kTensor)) return fail(kNotFinalized, "tensor");
    const TensorInfo t = tensor_of(*o.part(attribute));
    if (t.dims.size() != to.dims.size()) return fail(kShapeMismatch, "ranks of a map");
    for (size_t i = 0; i < t.dims.size(); ++i)
      if (t.dims[i] != 1 && t.dims[i] != to.dims[i]) return fail(kShapeMismatch, "extents of a map");
  }
  return kOk;
}

// The one convolution and the maps that follow it; nullopt for other graphs.
inline std::optional<Computation> computation_of(const Object& graph) {
  Computation c;
  std::set<int64_t> made;
  for (const Object* o : graph.list<const Object*>(801)) {
    if (o->kind == kForward) {
      if (!made.empty()) return std::nullopt;
      const Object& how = *o->part(702);
      c.x = tensor_of(*o->part(704)), c.w = tensor_of(*o->part(703)), c.y = c.result = tensor_of(*o->part(705));
      c.before = how.list<int64_t>(105), c.strides = how.list<int64_t>(103), c.dilations = how.list<int64_t>(102);
    } else {
      MapInfo m{o->part(750)->one<int>(0), tensor_of(*o->part(751)), {}, tensor_of(*o->part(753)), o->has(752)};
      if (m.binary) m.right = tensor_of(*o->part(752));
      for (const TensorInfo* t : {&m.left, m.binary ? &m.right : &m.left})
        if (t->is_virtual && !made.count(t->id)) return std::nullopt;
      c.result = m.to;
      c.maps.push_back(std::move(m));
    }
    if (made.count(c.result.id)) return std::nullopt;
    made.insert(c.result.id);
  }
  // What lies between the operations is virtual, the last result is not.
  size_t kept = c.y.is_virtual ? 0 : 1;
  for (const MapInfo& m : c.maps) kept += m.to.is_virtual ? 0 : 1;
  if (made.empty() || kept != 1 || c.result.is_virtual || c.x.type != c.w.type) return std::nullopt;
  return c;
}

}  // namespace tw_emulator::cudnn
