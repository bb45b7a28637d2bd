// cuDNN 9's graph interface, as much of it as we use, declared here: building needs no header, and the library is
// opened when it is first asked for. Names and numbers are those of its C interface (cudnn_graph.h), the same in
// every 9.x.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/device.h"

namespace tw::cuda::cudnn {

using Status = int;
using HandlePointer = struct HandleObject*;
using DescriptorPointer = void*;

constexpr Status kOk = 0;

// cudnnDataType_t
enum class DataType : int32_t { kFloat32 = 0, kFloat16 = 2, kBFloat16 = 9 };
// cudnnConvolutionMode_t: what networks call a convolution does not turn its filters around
enum class ConvolutionMode : int32_t { kCrossCorrelation = 1 };
// cudnnBackendHeurMode_t
enum class HeuristicMode : int32_t { kFallback = 2, kA = 3 };
// cudnnBackendNumericalNote_t: what is particular about an engine's numbers
enum class NumericalNote : int32_t {
  kTensorCore = 0,
  kDownConvertsInputs = 1,
  kReducedPrecisionReduction = 2,
  kFft = 3,
  kNondeterministic = 4,
  kWinograd = 5,
  kWinograd4x4 = 6,
  kWinograd6x6 = 7,
  kWinograd13x13 = 8,
  kStrictNaN = 9
};
// cudnnPointwiseMode_t
enum class PointwiseMode : int32_t {
  kAdd = 0,
  kMul = 1,
  kMin = 2,
  kMax = 3,
  kSqrt = 4,
  kDiv = 6,
  kSub = 9,
  kAbs = 10,
  kCeil = 11,
  kCos = 12,
  kExp = 13,
  kFloor = 14,
  kLog = 15,
  kNeg = 16,
  kSin = 18,
  kTan = 19,
  kErf = 20,
  kReciprocal = 22,
  kRelu = 100,
  kTanh = 101,
  kSigmoid = 102,
  kGelu = 104,
  kGeluTanh = 107
};
// cudnnBackendDescriptorType_t
enum class DescriptorType : int {
  kPointwise = 0,
  kConvolution = 1,
  kEngine = 2,
  kEngineConfiguration = 3,
  kHeuristic = 4,
  kExecutionPlan = 5,
  kKnobChoice = 7,
  kConvolutionForward = 10,
  kPointwiseOperation = 13,
  kGraph = 15,
  kVariantPack = 16,
  kTensor = 17
};
// cudnnBackendAttributeName_t
enum class Attribute : int {
  kPointwiseMode = 0,
  kPointwisePrecision = 1,
  kConvolutionPrecision = 100,
  kConvolutionMode = 101,
  kConvolutionDilations = 102,
  kConvolutionStrides = 103,
  kConvolutionPadsAfter = 104,
  kConvolutionPadsBefore = 105,
  kConvolutionAxes = 106,
  kHeuristicMode = 200,
  kHeuristicGraph = 201,
  kHeuristicResults = 202,
  kConfigurationEngine = 300,
  kConfigurationKnobs = 302,
  kPlanHandle = 400,
  kPlanConfiguration = 401,
  kPlanWorkspaceBytes = 402,
  kKnobType = 600,
  kKnobValue = 601,
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardConvolution = 702,
  kForwardW = 703,
  kForwardX = 704,
  kForwardY = 705,
  kOperationPointwise = 750,
  kOperationX = 751,
  kOperationB = 752,
  kOperationY = 753,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorDataType = 901,
  kTensorDims = 902,
  kTensorStrides = 903,
  kTensorId = 906,
  kTensorIsVirtual = 907,
  kTensorIsByValue = 908,
  kPackIds = 1000,
  kPackPointers = 1001,
  kPackWorkspace = 1003,
  kEngineGraph = 1300,
  kEngineIndex = 1301,
  kEngineNumericalNotes = 1303
};
// cudnnBackendAttributeType_t
enum class AttributeType : int {
  kHandle = 0,
  kDataType = 1,
  kBoolean = 2,
  kInt64 = 3,
  kFloat = 4,
  kPointer = 6,
  kConvolutionMode = 7,
  kHeuristicMode = 8,
  kKnobType = 9,
  kNumericalNote = 11,
  kPointwiseMode = 14,
  kDescriptor = 15
};
// cudnnBackendKnobType_t, which grows: a number like any other to us
enum class KnobType : int32_t {};

// One line for each function: its name in the library, and the type.
#define TW_CUDNN(F)                                                                                                \
  F(cudnnGetVersion, size_t (*)())                                                                                 \
  F(cudnnGetCudartVersion, size_t (*)())                                                                           \
  F(cudnnGetErrorString, const char* (*)(Status))                                                                  \
  F(cudnnGetLastErrorString, void (*)(char* message, size_t bytes))                                                \
  F(cudnnCreate, Status (*)(HandlePointer*))                                                                       \
  F(cudnnSetStream, Status (*)(HandlePointer, StreamHandle))                                                       \
  F(cudnnBackendCreateDescriptor, Status (*)(DescriptorType, DescriptorPointer*))                                  \
  F(cudnnBackendDestroyDescriptor, Status (*)(DescriptorPointer))                                                  \
  F(cudnnBackendFinalize, Status (*)(DescriptorPointer))                                                           \
  F(cudnnBackendSetAttribute, Status (*)(DescriptorPointer, Attribute, AttributeType, int64_t count, const void*)) \
  F(cudnnBackendGetAttribute,                                                                                      \
    Status (*)(DescriptorPointer, Attribute, AttributeType, int64_t wanted, int64_t* found, void*))                \
  F(cudnnBackendExecute, Status (*)(HandlePointer, DescriptorPointer plan, DescriptorPointer variant_pack))

struct Library {
#define TW_DECLARE(name, ...) std::type_identity_t<__VA_ARGS__> name = nullptr;
  TW_CUDNN(TW_DECLARE)
#undef TW_DECLARE
  std::string version;  // '9.13.0'

  // Throws what the library says of a failed call, naming it: kOutOfMemory, kUnsupported, kBackendUnavailable or
  // kDevice.
  void check(Status status, const char* call) const;
};

// Opened by the first call. Throws kBackendUnavailable saying what is missing.
const Library& library();

// The library's contexts on a device, each for one thread at a time: one that plans are made with, which may take
// seconds, and one for each queue that plans run on. Kept for as long as the process lives, as the device's context is.
class Contexts {
 public:
  // Makes the device current.
  static Contexts& of(CudaDevice& device);

  // The right to use a context that runs plans. The device is current.
  class Lease {
   public:
    explicit Lease(Contexts& from) : from_(from), handle_(from.take()) {}
    ~Lease() { from_.give(handle_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    HandlePointer handle() const { return handle_; }

   private:
    Contexts& from_;
    const HandlePointer handle_;
  };

  // To make plans with, by who has locked `making`.
  HandlePointer maker() const { return maker_; }
  std::mutex making;

 private:
  explicit Contexts(CudaDevice& device);
  HandlePointer make();
  HandlePointer take();
  void give(HandlePointer handle);

  CudaDevice& device_;  // which lives as long as the process
  const HandlePointer maker_;
  std::mutex mutex_;
  std::vector<HandlePointer> free_;
  size_t made_ = 0;  // of those that run plans
};

// How a C++ type is told to the library, which copies so many bytes as its own type has.
template <typename T>
constexpr AttributeType type_of() {
  if constexpr (std::is_same_v<T, int64_t>)
    return AttributeType::kInt64;
  else if constexpr (std::is_same_v<T, float>)
    return AttributeType::kFloat;
  else if constexpr (std::is_same_v<T, bool>)
    return AttributeType::kBoolean;
  else if constexpr (std::is_same_v<T, HandlePointer>)
    return AttributeType::kHandle;
  else if constexpr (std::is_same_v<T, DataType>)
    return AttributeType::kDataType;
  else if constexpr (std::is_same_v<T, ConvolutionMode>)
    return AttributeType::kConvolutionMode;
  else if constexpr (std::is_same_v<T, HeuristicMode>)
    return AttributeType::kHeuristicMode;
  else if constexpr (std::is_same_v<T, KnobType>)
    return AttributeType::kKnobType;
  else if constexpr (std::is_same_v<T, NumericalNote>)
    return AttributeType::kNumericalNote;
  else if constexpr (std::is_same_v<T, PointwiseMode>)
    return AttributeType::kPointwiseMode;
  else {
    static_assert(std::is_same_v<T, void*>);
    return AttributeType::kPointer;
  }
}
static_assert(sizeof(bool) == 1 && sizeof(DataType) == sizeof(int));

// One of the library's descriptors, of whatever kind.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(DescriptorType type);
  Descriptor(Descriptor&& other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~Descriptor();

  template <typename T>
  void set(Attribute name, const T& value) {
    set(name, type_of<T>(), 1, &value);
  }
  template <typename T>
  void set(Attribute name, std::span<const T> values) {
    set(name, type_of<T>(), static_cast<int64_t>(values.size()), values.data());
  }
  template <typename T>
  void set(Attribute name, const std::vector<T>& values) {
    set(name, std::span<const T>(values));
  }
  void set(Attribute name, const Descriptor& value) { set(name, AttributeType::kDescriptor, 1, &value.pointer_); }
  void set(Attribute name, std::span<const Descriptor> values);
  void finalize();

  template <typename T>
  T get(Attribute name) const {
    T value{};
    get(name, type_of<T>(), 1, &value);
    return value;
  }
  template <typename T>
  std::vector<T> list(Attribute name, size_t most) const {
    std::vector<T> values(most);
    values.resize(get(name, type_of<T>(), most, values.data()));
    return values;
  }
  // How many descriptors there are, and the first of them.
  size_t count(Attribute name) const { return get(name, AttributeType::kDescriptor, 0, nullptr); }
  std::vector<Descriptor> descriptors(Attribute name, DescriptorType type, size_t most) const;

  DescriptorPointer pointer() const { return pointer_; }

 private:
  void set(Attribute name, AttributeType type, int64_t count, const void* values);
  size_t get(Attribute name, AttributeType type, size_t most, void* values) const;

  DescriptorPointer pointer_ = nullptr;
};
// Lists of them are the library's own lists of pointers.
static_assert(sizeof(Descriptor) == sizeof(DescriptorPointer) && std::is_standard_layout_v<Descriptor>);

}  // namespace tw::cuda::cudnn
