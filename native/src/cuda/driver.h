// The CUDA driver API, as much of it as we use, declared here: building needs no toolkit, and the library is opened when
// it is first asked for. Numbers are the driver API's.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "base/error.h"

namespace tw::cuda {

using Result = int;
using DeviceId = int;
using DevicePointer = unsigned long long;
using ContextHandle = struct ContextObject*;
using ModuleHandle = struct ModuleObject*;
using FunctionHandle = struct FunctionObject*;
using StreamHandle = struct StreamObject*;
using EventHandle = struct EventObject*;
using GraphHandle = struct GraphObject*;
using NodeHandle = struct NodeObject*;
using GraphExecHandle = struct GraphExecObject*;

constexpr Result kSuccess = 0, kErrorOutOfMemory = 2, kErrorNotInitialized = 3, kErrorNoDevice = 100;

struct alignas(64) TensorMap {
  uint64_t words[16];
};

struct LaunchAttribute {
  int id;
  char padding[4];
  union {
    char bytes[64];
    int programmatic_serialization;
    struct {
      unsigned x, y, z;
    } cluster;
  };
};
static_assert(sizeof(LaunchAttribute) == 72);
constexpr int kClusterDimension = 4, kProgrammaticSerialization = 6;

struct LaunchConfig {
  unsigned grid[3], block[3], shared_bytes;
  StreamHandle stream;
  LaunchAttribute* attributes;
  unsigned attribute_count;
};

struct KernelNodeParameters {
  FunctionHandle function;
  unsigned grid[3], block[3], shared_bytes;
  void** arguments;
  void** packed_arguments;
  void* kernel;  // in place of the function
  ContextHandle context;
};
static_assert(sizeof(KernelNodeParameters) == 72);

// `height` rows of `width` elements.
struct FillNodeParameters {
  DevicePointer to;
  size_t pitch;
  unsigned value, element_bytes;
  size_t width, height;
};

// One line for each function: its name in the library, and the type.
#define TW_CUDA_DRIVER(F)                                                                                      \
  F(cuInit, Result (*)(unsigned))                                                                              \
  F(cuDriverGetVersion, Result (*)(int*))                                                                      \
  F(cuGetErrorName, Result (*)(Result, const char**))                                                          \
  F(cuGetErrorString, Result (*)(Result, const char**))                                                        \
  F(cuDeviceGetCount, Result (*)(int*))                                                                        \
  F(cuDeviceGet, Result (*)(DeviceId*, int))                                                                   \
  F(cuDeviceGetName, Result (*)(char*, int, DeviceId))                                                         \
  F(cuDeviceGetAttribute, Result (*)(int*, int, DeviceId))                                                     \
  F(cuDeviceTotalMem_v2, Result (*)(size_t*, DeviceId))                                                        \
  F(cuDevicePrimaryCtxRetain, Result (*)(ContextHandle*, DeviceId))                                            \
  F(cuCtxSetCurrent, Result (*)(ContextHandle))                                                                \
  F(cuCtxPushCurrent_v2, Result (*)(ContextHandle))                                                            \
  F(cuCtxPopCurrent_v2, Result (*)(ContextHandle*))                                                            \
  F(cuMemAlloc_v2, Result (*)(DevicePointer*, size_t))                                                         \
  F(cuMemFree_v2, Result (*)(DevicePointer))                                                                   \
  F(cuMemGetInfo_v2, Result (*)(size_t*, size_t*))                                                             \
  F(cuMemHostAlloc, Result (*)(void**, size_t, unsigned))                                                      \
  F(cuMemFreeHost, Result (*)(void*))                                                                          \
  F(cuMemcpyAsync, Result (*)(DevicePointer, DevicePointer, size_t, StreamHandle))                             \
  F(cuMemcpyHtoD_v2, Result (*)(DevicePointer, const void*, size_t))                                           \
  F(cuMemcpyDtoH_v2, Result (*)(void*, DevicePointer, size_t))                                                 \
  F(cuMemcpyHtoDAsync_v2, Result (*)(DevicePointer, const void*, size_t, StreamHandle))                        \
  F(cuMemcpyDtoHAsync_v2, Result (*)(void*, DevicePointer, size_t, StreamHandle))                              \
  F(cuMemcpyDtoDAsync_v2, Result (*)(DevicePointer, DevicePointer, size_t, StreamHandle))                      \
  F(cuMemsetD8Async, Result (*)(DevicePointer, unsigned char, size_t, StreamHandle))                           \
  F(cuStreamCreate, Result (*)(StreamHandle*, unsigned))                                                       \
  F(cuStreamDestroy_v2, Result (*)(StreamHandle))                                                              \
  F(cuStreamSynchronize, Result (*)(StreamHandle))                                                             \
  F(cuStreamBeginCapture_v2, Result (*)(StreamHandle, int))                                                    \
  F(cuStreamEndCapture, Result (*)(StreamHandle, GraphHandle*))                                                \
  F(cuThreadExchangeStreamCaptureMode, Result (*)(int*))                                                       \
  F(cuGraphInstantiateWithFlags, Result (*)(GraphExecHandle*, GraphHandle, unsigned long long))                \
  F(cuGraphUpload, Result (*)(GraphExecHandle, StreamHandle))                                                  \
  F(cuGraphLaunch, Result (*)(GraphExecHandle, StreamHandle))                                                  \
  F(cuGraphExecDestroy, Result (*)(GraphExecHandle))                                                           \
  F(cuGraphDestroy, Result (*)(GraphHandle))                                                                   \
  F(cuGraphGetNodes, Result (*)(GraphHandle, NodeHandle*, size_t*))                                            \
  F(cuGraphNodeGetType, Result (*)(NodeHandle, int*))                                                          \
  F(cuGraphNodeGetDependencies, Result (*)(NodeHandle, NodeHandle*, size_t*))                                  \
  F(cuGraphNodeGetDependentNodes, Result (*)(NodeHandle, NodeHandle*, size_t*))                                \
  F(cuGraphMemsetNodeGetParams, Result (*)(NodeHandle, FillNodeParameters*))                                   \
  F(cuGraphAddKernelNode_v2,                                                                                   \
    Result (*)(NodeHandle*, GraphHandle, const NodeHandle*, size_t, const KernelNodeParameters*))              \
  F(cuGraphAddDependencies, Result (*)(GraphHandle, const NodeHandle*, const NodeHandle*, size_t))             \
  F(cuGraphDestroyNode, Result (*)(NodeHandle))                                                                \
  F(cuEventCreate, Result (*)(EventHandle*, unsigned))                                                         \
  F(cuEventRecord, Result (*)(EventHandle, StreamHandle))                                                      \
  F(cuEventSynchronize, Result (*)(EventHandle))                                                               \
  F(cuEventElapsedTime, Result (*)(float*, EventHandle, EventHandle))                                          \
  F(cuEventDestroy_v2, Result (*)(EventHandle))                                                                \
  F(cuModuleLoadData, Result (*)(ModuleHandle*, const void*))                                                  \
  F(cuModuleGetFunction, Result (*)(FunctionHandle*, ModuleHandle, const char*))                               \
  F(cuModuleUnload, Result (*)(ModuleHandle))                                                                  \
  F(cuFuncSetAttribute, Result (*)(FunctionHandle, int, int))                                                  \
  F(cuLaunchKernelEx, Result (*)(const LaunchConfig*, FunctionHandle, void**, void**))

// Functions that only newer drivers or devices have; null where they are missing.
#define TW_CUDA_DRIVER_OPTIONAL(F)                                                                             \
  F(cuTensorMapEncodeTiled,                                                                                    \
    Result (*)(TensorMap*, int type, unsigned rank, void* address, const uint64_t* dims, const uint64_t* strides, \
               const uint32_t* box, const uint32_t* element_strides, int interleave, int swizzle, int promotion, \
               int fill))                                                                                      \
  F(cuTensorMapEncodeIm2col,                                                                                   \
    Result (*)(TensorMap*, int type, unsigned rank, void* address, const uint64_t* dims, const uint64_t* strides, \
               const int* lower, const int* upper, uint32_t channels, uint32_t pixels,                         \
               const uint32_t* element_strides, int interleave, int swizzle, int promotion, int fill))

struct Driver {
#define TW_DECLARE(name, ...) std::type_identity_t<__VA_ARGS__> name = nullptr;
  TW_CUDA_DRIVER(TW_DECLARE)
  TW_CUDA_DRIVER_OPTIONAL(TW_DECLARE)
#undef TW_DECLARE
  int version = 0;  // 13000: 13.0

  // Throws what the driver says of a failed call, naming it: kOutOfMemory, or kDevice.
  void check(Result result, const char* call) const {
    if (result != kSuccess) fail(result, call);
  }
  [[noreturn]] void fail(Result result, const char* call, const std::string& detail = {}) const;
  // 'CUDA_ERROR_NAME, what it means'
  std::string describe(Result result) const;
};

// Opened by the first call. Throws kBackendUnavailable saying what is missing.
const Driver& driver();

}  // namespace tw::cuda
