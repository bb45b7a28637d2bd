// cuBLASLt's interface on top of the host: every product by plain loops, when the stream comes to it. It has three
// algorithms for everything, which differ in the scratch memory that they want, and refuses what the library would.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "driver.h"

#define TW_CUBLASLT extern "C" __attribute__((visibility("default")))

namespace {

enum Status : int {
  kOk = 0,
  kNotInitialized = 1,
  kAllocationFailed = 3,
  kInvalidValue = 7,
  kExecutionFailed = 13,
  kNotSupported = 15,
};
enum DataType : int { kFloat32 = 0, kFloat16 = 2, kBFloat16 = 14 };
enum ComputeType : int { kComputeFloat32 = 68, kComputeTf32 = 77 };
enum Epilogue : uint32_t { kDefault = 1, kRelu = 2, kBias = 4, kGelu = 32 };

constexpr int kAlgorithms = 3;
constexpr uint64_t kMark = 0x546e736f72777274;
constexpr size_t kWorkspaces[kAlgorithms] = {0, 4096, 0};

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Heuristic) == 96);

struct Description {
  int compute, transposed[2] = {0, 0};
  uint32_t epilogue = kDefault;
  const void* bias = nullptr;
};
struct Layout {
  int type;
  uint64_t rows, columns;
  int64_t ld;
  int32_t batch = 1;
  int64_t step = 0;

  size_t element_bytes() const { return type == kFloat32 ? 4 : 2; }
  size_t bytes() const {
    return element_bytes() * static_cast<size_t>(1 + (rows - 1) + (columns - 1) * ld + (batch - 1) * step);
  }
};
struct Preference {
  uint64_t workspace_bytes = 0;
  uint32_t alignments[4] = {256, 256, 256, 256};
};

float widen(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}
uint32_t bits_of(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return bits;
}
// The upper bits of a float, to nearest even.
uint32_t rounded(uint32_t bits, int dropped) { return bits + (1u << (dropped - 1)) - 1 + (bits >> dropped & 1); }

float load(const Layout& layout, const void* data, int64_t at) {
  if (layout.type == kFloat32) return static_cast<const float*>(data)[at];
  const uint16_t half = static_cast<const uint16_t*>(data)[at];
  if (layout.type == kBFloat16) return widen(uint32_t{half} << 16);
  const float magnitude = (half & 0x7C00) == 0x7C00 ? widen(0x7F800000u | (half & 0x3FFu) << 13)
                                                    : widen((half & 0x7FFFu) << 13) * 0x1p112f;
  return half & 0x8000 ? -magnitude : magnitude;
}

uint16_t to_float16(float f) {
  const uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00);
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);
  // Subnormal results are multiples of 2^-24.
  if (magnitude < 0x38800000) return static_cast<uint16_t>(sign | std::lrintf(std::fabs(f) * 0x1p24f));
  return static_cast<uint16_t>(sign | (rounded(magnitude - 0x38000000, 13) >> 13));
}

void store(const Layout& layout, void* data, int64_t at, float value) {
  if (layout.type == kFloat32) static_cast<float*>(data)[at] = value;
  else if (layout.type == kFloat16) static_cast<uint16_t*>(data)[at] = to_float16(value);
  else static_cast<uint16_t*>(data)[at] = static_cast<uint16_t>(std::isnan(value) ? 0x7FFF : rounded(bits_of(value), 16) >> 16);
}

// Of two numbers kept to 10 bits of mantissa.
float to_tf32(float f) { return widen(rounded(bits_of(f), 13) & ~0x1FFFu); }

struct Product {
  Description description;
  Layout a, b, c, d;

  uint64_t depth() const { return description.transposed[0] ? a.rows : a.columns; }

  bool is_valid() const {
    const auto outer = [](const Layout& l, bool transposed) { return transposed ? l.rows : l.columns; };
    const auto own = [](const Layout& l, bool transposed) { return transposed ? l.columns : l.rows; };
    const bool at = description.transposed[0] != 0, bt = description.transposed[1] != 0;
    const auto fits = [&](const Layout& l) { return l.rows && l.columns && l.ld >= static_cast<int64_t>(l.rows) && l.batch == d.batch; };
    return fits(a) && fits(b) && fits(c) && fits(d) && own(a, at) == d.rows && outer(b, bt) == d.columns &&
           outer(a, at) == own(b, bt) && c.rows == d.rows && c.columns == d.columns;
  }
  bool is_supported() const {
    const auto known = [](int type) { return type == kFloat32 || type == kFloat16 || type == kBFloat16; };
    const uint32_t activation = description.epilogue & ~uint32_t{kBias};
    const bool compute = description.compute == kComputeFloat32 || (description.compute == kComputeTf32 && a.type == kFloat32);
    return compute && known(a.type) && a.type == b.type && c.type == d.type && (d.type == a.type || d.type == kFloat32) &&
           (activation == 0 || activation == kRelu || activation == kGelu || description.epilogue == kDefault);
  }

  void run(float alpha, const void* A, const void* B, float beta, const void* C, void* D) const {
    const auto at = [](const Layout& l, int32_t batch, uint64_t row, uint64_t column) {
      return batch * l.step + static_cast<int64_t>(row) + static_cast<int64_t>(column) * l.ld;
    };
    const bool ta = description.transposed[0] != 0, tb = description.transposed[1] != 0;
    const bool tf32 = description.compute == kComputeTf32;
    for (int32_t batch = 0; batch < d.batch; ++batch) {
      for (uint64_t column = 0; column < d.columns; ++column) {
        for (uint64_t row = 0; row < d.rows; ++row) {
          double sum = 0;
          for (uint64_t k = 0; k < depth(); ++k) {
            float x = load(a, A, ta ? at(a, batch, k, row) : at(a, batch, row, k));
            float y = load(b, B, tb ? at(b, batch, column, k) : at(b, batch, k, column));
            if (tf32) x = to_tf32(x), y = to_tf32(y);
            sum += static_cast<double>(x) * y;
          }
          float value = alpha * static_cast<float>(sum);
          if (beta != 0) value += beta * load(c, C, at(c, batch, row, column));
          if (description.epilogue & kBias) value += load(d, description.bias, static_cast<int64_t>(row));
          if (description.epilogue & kRelu) value = std::max(value, 0.0f);
          if (description.epilogue & kGelu)
            value = 0.5f * value * (1 + std::tanh(0.7978845608f * (value + 0.044715f * value * value * value)));
          store(d, D, at(d, batch, row, column), value);
        }
      }
    }
  }
};

template <typename T>
int read(T& to, const void* from, size_t bytes) {
  if (bytes != sizeof(T)) return kInvalidValue;
  return std::memcpy(&to, from, bytes), kOk;
}

bool is_memory(const void* data, size_t bytes) {
  return tw_emulator::is_device_range(reinterpret_cast<DevicePointer>(data), bytes);
}

// A context, which is of one device.
struct Context {
  int device;
};

bool is_context(const void* handle) {
  return handle && tw_emulator::is_current(static_cast<const Context*>(handle)->device, "a context of cuBLASLt");
}

}  // namespace

TW_CUBLASLT int cublasLtGetProperty(int part, int* value) {
  constexpr int kVersion[] = {13, 999, 0};
  if (part < 0 || part > 2) return kInvalidValue;
  return *value = kVersion[part], kOk;
}
TW_CUBLASLT size_t cublasLtGetVersion() { return 139900; }
TW_CUBLASLT const char* cublasLtGetStatusString(int status) {
  switch (status) {
    case kOk: return "CUBLAS_STATUS_SUCCESS";
    case kNotInitialized: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case kAllocationFailed: return "CUBLAS_STATUS_ALLOC_FAILED";
    case kInvalidValue: return "CUBLAS_STATUS_INVALID_VALUE";
    case kNotSupported: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_EXECUTION_FAILED";
  }
}
TW_CUBLASLT int cublasLtCreate(Context** handle) {
  if (tw_emulator::begin_call("cublasLtCreate")) return kAllocationFailed;
  if (!tw_emulator::has_context() || tw_emulator::refuse_unsafe("cublasLtCreate")) return kNotInitialized;
  return *handle = new Context{tw_emulator::current_device()}, kOk;
}
TW_CUBLASLT int cublasLtDestroy(Context* handle) { return delete handle, kOk; }

TW_CUBLASLT int cublasLtMatmulDescCreate(Description** description, int compute, int scale) {
  if (scale != kFloat32) return kInvalidValue;
  return *description = new Description{compute}, kOk;
}
TW_CUBLASLT int cublasLtMatmulDescDestroy(Description* description) { return delete description, kOk; }
TW_CUBLASLT int cublasLtMatmulDescSetAttribute(Description* description, int attribute, const void* value, size_t bytes) {
  constexpr int kTransA = 3, kTransB = 4, kEpilogueKind = 7, kBiasPointer = 8;
  switch (attribute) {
    case kTransA: return read(description->transposed[0], value, bytes);
    case kTransB: return read(description->transposed[1], value, bytes);
    case kEpilogueKind: return read(description->epilogue, value, bytes);
    case kBiasPointer: return read(description->bias, value, bytes);
    default: return kInvalidValue;
  }
}

TW_CUBLASLT int cublasLtMatrixLayoutCreate(Layout** layout, int type, uint64_t rows, uint64_t columns, int64_t ld) {
  return *layout = new Layout{type, rows, columns, ld}, kOk;
}
TW_CUBLASLT int cublasLtMatrixLayoutDestroy(Layout* layout) { return delete layout, kOk; }
TW_CUBLASLT int cublasLtMatrixLayoutSetAttribute(Layout* layout, int attribute, const void* value, size_t bytes) {
  constexpr int kBatchCount = 5, kStridedBatchOffset = 6;
  if (attribute == kBatchCount) return read(layout->batch, value, bytes);
  return attribute == kStridedBatchOffset ? read(layout->step, value, bytes) : kInvalidValue;
}

TW_CUBLASLT int cublasLtMatmulPreferenceCreate(Preference** preference) { return *preference = new Preference, kOk; }
TW_CUBLASLT int cublasLtMatmulPreferenceDestroy(Preference* preference) { return delete preference, kOk; }
TW_CUBLASLT int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
  constexpr int kMaxWorkspaceBytes = 1, kReductionSchemes = 3, kFirstAlignment = 5;
  uint32_t schemes;
  if (attribute == kMaxWorkspaceBytes) return read(preference->workspace_bytes, value, bytes);
  if (attribute == kReductionSchemes) return read(schemes, value, bytes);
  if (attribute < kFirstAlignment || attribute >= kFirstAlignment + 4) return kInvalidValue;
  return read(preference->alignments[attribute - kFirstAlignment], value, bytes);
}

TW_CUBLASLT int cublasLtMatmulAlgoGetHeuristic(void* handle, const Description* description, const Layout* a, const Layout* b,
                                               const Layout* c, const Layout* d, const Preference* preference, int wanted,
                                               Heuristic* results, int* found) {
  *found = 0;
  const Product product{*description, *a, *b, *c, *d};
  if (!is_context(handle) || wanted < 1 || !product.is_valid()) return kInvalidValue;
  if (!product.is_supported()) return kNotSupported;
  for (int i = 0; i < kAlgorithms && *found < wanted; ++i) {
    if (kWorkspaces[i] > preference->workspace_bytes) continue;
    Heuristic& h = results[(*found)++];
    h = {{{kMark, static_cast<uint64_t>(i), product.depth()}}, kWorkspaces[i], kOk, 1.0f, {}};
  }
  return kOk;
}

TW_CUBLASLT int cublasLtMatmul(void* handle, const Description* description, const float* alpha, const void* a,
                               const Layout* a_layout, const void* b, const Layout* b_layout, const float* beta,
                               const void* c, const Layout* c_layout, void* d, const Layout* d_layout,
                               const Algorithm* algorithm, void* workspace, size_t workspace_bytes, void* stream) {
  const Product product{*description, *a_layout, *b_layout, *c_layout, *d_layout};
  if (!is_context(handle) || !product.is_valid() || !algorithm) return kInvalidValue;
  if (!product.is_supported()) return kNotSupported;
  const uint64_t mark = algorithm->data[0], index = algorithm->data[1], depth = algorithm->data[2];
  if (mark != kMark || index >= kAlgorithms || depth != product.depth() || workspace_bytes < kWorkspaces[index])
    return kInvalidValue;
  const auto has = [](const Layout& layout, const void* data) { return is_memory(data, layout.bytes()); };
  const bool bias = (description->epilogue & kBias) == 0 || is_memory(description->bias, d_layout->element_bytes() * d_layout->rows);
  if (!has(*a_layout, a) || !has(*b_layout, b) || !has(*d_layout, d) || (*beta != 0 && !has(*c_layout, c)) || !bias)
    return kInvalidValue;
  if (kWorkspaces[index] && !is_memory(workspace, kWorkspaces[index])) return kInvalidValue;
  const float scale = *alpha, added = *beta;
  const int result = tw_emulator::enqueue(stream, [=] { return product.run(scale, a, b, added, c, d), 0; });
  return result == 0 ? kOk : kExecutionFailed;
}
