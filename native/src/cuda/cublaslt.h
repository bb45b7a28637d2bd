// cuBLASLt, as much of it as we use, declared here: building needs no toolkit, and the library is opened when it is first
// asked for. Names, numbers and layouts are those of its C interface (cublasLt.h), which are the same in 12 and 13.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda/device.h"

namespace tw::cuda::cublaslt {

using Status = int;
using HandlePointer = struct HandleObject*;
using DescriptorPointer = struct DescriptorObject*;
using LayoutPointer = struct LayoutObject*;
using PreferencePointer = struct PreferenceObject*;

constexpr Status kOk = 0;

// cudaDataType
constexpr int kFloat32 = 0, kFloat16 = 2, kBFloat16 = 14;
// cublasComputeType_t: sums in float32; with products of float32 operands, or of these rounded to TensorFloat-32
constexpr int kComputeFloat32 = 68, kComputeTf32 = 77;
// cublasOperation_t
constexpr int32_t kAsIs = 0, kTransposed = 1;
// cublasLtMatmulDescAttributes_t
constexpr int kTransA = 3, kTransB = 4, kEpilogue = 7, kBiasPointer = 8;
// cublasLtEpilogue_t; the GELU is the one with tanh
constexpr uint32_t kNoEpilogue = 1, kReluEpilogue = 2, kBiasEpilogue = 4, kGeluEpilogue = 32;
// cublasLtMatrixLayoutAttribute_t
constexpr int kBatchCount = 5, kStridedBatchOffset = 6;
// cublasLtMatmulPreferenceAttributes_t
constexpr int kMaxWorkspaceBytes = 1, kReductionSchemes = 3, kMinAlignment[] = {5, 6, 7, 8};  // of A, B, C, D
// cublasLtReductionScheme_t: partial sums are added in float32, never in the type of the result
constexpr uint32_t kReduceInComputeType = 2;
// libraryPropertyType
constexpr int kMajor = 0, kMinor = 1, kPatch = 2;

struct Algorithm {
  uint64_t data[8];
};
static_assert(sizeof(Algorithm) == 64);

struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Heuristic) == 96 && offsetof(Heuristic, workspace_bytes) == 64 && offsetof(Heuristic, state) == 72);

// One line for each function: its name in the library, and the type.
#define TW_CUBLASLT(F)                                                                                             \
  F(cublasLtGetProperty, Status (*)(int, int*))                                                                    \
  F(cublasLtGetStatusString, const char* (*)(Status))                                                              \
  F(cublasLtCreate, Status (*)(HandlePointer*))                                                                    \
  F(cublasLtMatmulDescCreate, Status (*)(DescriptorPointer*, int compute_type, int scale_type))                    \
  F(cublasLtMatmulDescSetAttribute, Status (*)(DescriptorPointer, int, const void*, size_t))                       \
  F(cublasLtMatmulDescDestroy, Status (*)(DescriptorPointer))                                                      \
  F(cublasLtMatrixLayoutCreate, Status (*)(LayoutPointer*, int type, uint64_t rows, uint64_t columns, int64_t ld)) \
  F(cublasLtMatrixLayoutSetAttribute, Status (*)(LayoutPointer, int, const void*, size_t))                         \
  F(cublasLtMatrixLayoutDestroy, Status (*)(LayoutPointer))                                                        \
  F(cublasLtMatmulPreferenceCreate, Status (*)(PreferencePointer*))                                                \
  F(cublasLtMatmulPreferenceSetAttribute, Status (*)(PreferencePointer, int, const void*, size_t))                 \
  F(cublasLtMatmulPreferenceDestroy, Status (*)(PreferencePointer))                                                \
  F(cublasLtMatmulAlgoGetHeuristic,                                                                                \
    Status (*)(HandlePointer, DescriptorPointer, LayoutPointer a, LayoutPointer b, LayoutPointer c, LayoutPointer d, \
               PreferencePointer, int wanted, Heuristic*, int* found))                                             \
  F(cublasLtMatmul,                                                                                                \
    Status (*)(HandlePointer, DescriptorPointer, const void* alpha, const void* a, LayoutPointer, const void* b,   \
               LayoutPointer, const void* beta, const void* c, LayoutPointer, void* d, LayoutPointer,              \
               const Algorithm*, void* workspace, size_t workspace_bytes, StreamHandle))

struct Library {
#define TW_DECLARE(name, ...) std::type_identity_t<__VA_ARGS__> name = nullptr;
  TW_CUBLASLT(TW_DECLARE)
#undef TW_DECLARE
  std::string version;  // '13.0.2'

  // Throws what the library says of a failed call, naming it: kOutOfMemory, kUnsupported, kBackendUnavailable or
  // kDevice.
  void check(Status status, const char* call) const;
};

// Opened by the first call. Throws kBackendUnavailable saying what is missing.
const Library& library();

// The library's context on this device, which becomes the current one: one for all its users, on any thread.
HandlePointer handle(CudaDevice& device);

}  // namespace tw::cuda::cublaslt
