// cuInit, devices and contexts: one context a device.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "capture.h"
#include "driver.h"

using namespace tw_emulator;

namespace {

char primary_contexts[kMostDevices];
thread_local std::vector<void*> contexts = {nullptr};  // a stack; the last one is current

bool is_device(int device) { return device >= 0 && device < device_count(); }

struct Capability {
  int major = 8, minor = 0;
  Capability() {
    if (const char* text = std::getenv("TENSORWRIGHT_EMULATOR_CAPABILITY")) std::sscanf(text, "%d.%d", &major, &minor);
  }
};
const Capability& capability() {
  static const Capability value;
  return value;
}

int attribute(int id) {
  const bool hopper = capability_major() >= 9;
  switch (id) {
    case 1: return 1024;             // threads per block
    case 2: case 3: return 1024;     // block x, y
    case 4: return 64;               // block z
    case 5: return 0x7FFFFFFF;       // grid x
    case 6: case 7: return 65535;    // grid y, z
    case 8: return 48 * 1024;        // shared memory per block
    case 9: return 64 * 1024;        // constant memory
    case 10: return 32;              // warp
    case 11: return 0x7FFFFFFF;      // pitch
    case 12: return 65536;           // registers per block
    case 13: return 1000000;         // clock, kHz
    case 14: return 512;             // texture alignment
    case 15: return 1;               // copies overlap kernels
    case 16: return 8;               // multiprocessors
    case 18: return 0;               // integrated
    case 19: return 1;               // maps host memory
    case 31: return 1;               // concurrent kernels
    case 36: return 1000000;         // memory clock, kHz
    case 37: return 512;             // bus width, bits
    case 38: return 50 * 1024 * 1024; // L2 cache
    case 39: return 2048;            // threads per multiprocessor
    case 40: return 1;               // copy engines
    case 41: return 1;               // unified addressing
    case 75: return capability_major();
    case 76: return capability_minor();
    case 78: return 1;               // stream priorities
    case 81: return (hopper ? 228 : 164) * 1024;  // shared memory per multiprocessor
    case 82: return 65536;           // registers per multiprocessor
    case 97: return static_cast<int>(max_dynamic_shared());
    case 99: return 1;               // registers host memory
    case 106: return 32;             // blocks per multiprocessor
    case 111: return 1024;           // shared memory reserved per block
    case 115: return 1;              // memory pools
    case 120: case 127: return hopper;  // clusters, tensor maps
    default: return 0;
  }
}

}  // namespace

namespace tw_emulator {

std::recursive_mutex& driver_lock() {
  static std::recursive_mutex mutex;
  return mutex;
}
int capability_major() { return capability().major; }
int capability_minor() { return capability().minor; }
size_t total_memory() { return static_cast<size_t>(played("memory", int64_t{4} << 30)); }
int device_count() { return static_cast<int>(std::clamp<int64_t>(played("devices", 1), 0, kMostDevices)); }
int current_device() {
  return contexts.back() ? static_cast<int>(static_cast<char*>(contexts.back()) - primary_contexts) : 0;
}
DeviceScope::DeviceScope(int device) { contexts.push_back(&primary_contexts[device]); }
DeviceScope::~DeviceScope() { contexts.pop_back(); }
bool has_context() { return contexts.back() != nullptr; }
bool is_current(int device, const char* what) {
  if (has_context() && device == current_device()) return true;
  std::fprintf(stderr, "tensorwright emulator: %s is of device %d, %s is current\n", what, device,
               has_context() ? ("device " + std::to_string(current_device())).c_str() : "none");
  return false;
}
size_t max_dynamic_shared() { return (capability_major() >= 9 ? 227 : 163) * size_t{1024}; }

}  // namespace tw_emulator

TW_DRIVER cuInit(unsigned flags) {
  if (device_count() == 0) return kNoDevice;
  return flags == 0 ? kSuccess : kInvalidValue;
}
TW_DRIVER cuDriverGetVersion(int* version) { return *version = static_cast<int>(played("driver", 13000)), kSuccess; }
TW_DRIVER cuDeviceGetCount(int* count) { return *count = device_count(), kSuccess; }
TW_DRIVER cuDeviceGet(int* device, int ordinal) {
  if (ordinal < 0 || ordinal >= device_count()) return kInvalidDevice;
  return *device = ordinal, kSuccess;
}
TW_DRIVER cuDeviceGetName(char* name, int length, int device) {
  if (!is_device(device)) return kInvalidDevice;
  std::snprintf(name, static_cast<size_t>(length), "Tensorwright emulator");
  return kSuccess;
}
TW_DRIVER cuDeviceGetAttribute(int* value, int id, int device) {
  if (!is_device(device)) return kInvalidDevice;
  return *value = attribute(id), kSuccess;
}
TW_DRIVER cuDeviceTotalMem_v2(size_t* bytes, int device) {
  if (!is_device(device)) return kInvalidDevice;
  return *bytes = total_memory(), kSuccess;
}
TW_DRIVER cuDeviceGetUuid_v2(char* uuid, int device) {
  if (!is_device(device)) return kInvalidDevice;
  std::memcpy(uuid, "tw-emulator-0000", 16);
  uuid[15] = static_cast<char>('0' + device);
  return kSuccess;
}
TW_DRIVER cuDeviceGetUuid(char* uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }
TW_DRIVER cuDeviceComputeCapability(int* major, int* minor, int device) {
  if (!is_device(device)) return kInvalidDevice;
  *major = capability_major();
  *minor = capability_minor();
  return kSuccess;
}
TW_DRIVER cuDeviceGetPCIBusId(char* text, int length, int device) {
  std::snprintf(text, static_cast<size_t>(length), "0000:%02x:00.0", device);
  return kSuccess;
}

TW_DRIVER cuDevicePrimaryCtxRetain(void** context, int device) {
  if (!is_device(device)) return kInvalidDevice;
  if (const int result = begin_call("cuDevicePrimaryCtxRetain")) return result;
  return *context = &primary_contexts[device], kSuccess;
}
TW_DRIVER cuDevicePrimaryCtxRelease_v2(int device) { return is_device(device) ? kSuccess : kInvalidDevice; }
TW_DRIVER cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return kSuccess; }
TW_DRIVER cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) { return *flags = 0, *active = 1, kSuccess; }
TW_DRIVER cuCtxSetCurrent(void* context) { return contexts.back() = context, kSuccess; }
TW_DRIVER cuCtxGetCurrent(void** context) { return *context = contexts.back(), kSuccess; }
TW_DRIVER cuCtxPushCurrent_v2(void* context) { return contexts.push_back(context), kSuccess; }
TW_DRIVER cuCtxPopCurrent_v2(void** context) {
  if (contexts.size() == 1) return kInvalidContext;
  if (context) *context = contexts.back();
  return contexts.pop_back(), kSuccess;
}
TW_DRIVER cuCtxGetDevice(int* device) {
  if (!has_context()) return kInvalidContext;
  return *device = current_device(), kSuccess;
}
TW_DRIVER cuCtxSynchronize() {
  if (!has_context()) return kInvalidContext;
  if (const int result = refuse_device_wait("cuCtxSynchronize")) return result;
  if (const int result = flush_all()) return result;
  return lost(current_device());
}
TW_DRIVER cuCtxGetStreamPriorityRange(int* least, int* greatest) { return *least = 0, *greatest = -5, kSuccess; }

namespace {
struct ResultText {
  int code;
  const char *name, *text;
};
constexpr ResultText kResultTexts[] = {
    {kSuccess, "CUDA_SUCCESS", "no error"},
    {kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {kNoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {kInvalidImage, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {kNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {kNotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {kNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {kLaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {kMisalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {kNotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {kStreamCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {kStreamCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {kStreamCaptureMerge, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
    {kStreamCaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {kStreamCaptureUnjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {kStreamCaptureIsolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {kStreamCaptureImplicit, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {kCapturedEvent, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {kStreamCaptureWrongThread, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
    {kInvalidClusterSize, "CUDA_ERROR_INVALID_CLUSTER_SIZE", "cluster misconfiguration"},
    {kUnknown, "CUDA_ERROR_UNKNOWN", "unknown error"},
};
}  // namespace

TW_DRIVER cuGetErrorName(int code, const char** name) {
  for (const ResultText& r : kResultTexts) {
    if (r.code == code) return *name = r.name, kSuccess;
  }
  return *name = nullptr, kInvalidValue;
}
TW_DRIVER cuGetErrorString(int code, const char** text) {
  for (const ResultText& r : kResultTexts) {
    if (r.code == code) return *text = r.text, kSuccess;
  }
  return *text = nullptr, kInvalidValue;
}
