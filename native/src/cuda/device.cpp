#include "cuda/device.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>

#include "cuda/queue.h"

namespace tw::cuda {
namespace {

constexpr int kMultiprocessors = 16, kL2Bytes = 38, kCapabilityMajor = 75, kCapabilityMinor = 76,
              kSharedBytesPerBlock = 97;
constexpr int kOldestCapability = 80;

// Devices that have instructions of their own name them by a suffix.
std::string architecture(int capability) {
  return "sm_" + std::to_string(capability) + (capability == 90 ? "a" : "");
}

DeviceProperties describe(int ordinal) {
  const Driver& d = driver();
  DeviceId id;
  d.check(d.cuDeviceGet(&id, ordinal), "cuDeviceGet");
  const auto attribute = [&](int which) {
    int value = 0;
    d.check(d.cuDeviceGetAttribute(&value, which, id), "cuDeviceGetAttribute");
    return value;
  };
  DeviceProperties p;
  p.ordinal = ordinal;
  char name[256] = {};
  d.check(d.cuDeviceGetName(name, sizeof name - 1, id), "cuDeviceGetName");
  p.name = name;
  p.capability = attribute(kCapabilityMajor) * 10 + attribute(kCapabilityMinor);
  p.architecture = architecture(p.capability);
  p.multiprocessors = attribute(kMultiprocessors);
  p.l2_bytes = static_cast<size_t>(attribute(kL2Bytes));
  p.shared_bytes = static_cast<size_t>(attribute(kSharedBytesPerBlock));
  d.check(d.cuDeviceTotalMem_v2(&p.memory_bytes, id), "cuDeviceTotalMem");
  return p;
}

// Results after which the driver refuses all work of the process on the device: broken memory or links, and kernels
// that trapped (CUDA driver API, "the process must be terminated and relaunched").
bool is_final(Result result) {
  constexpr Result kFinal[] = {4, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999};
  return std::find(std::begin(kFinal), std::end(kFinal), result) != std::end(kFinal);
}

}  // namespace

std::vector<DeviceProperties> list_devices() {
  int count = 0;
  driver().check(driver().cuDeviceGetCount(&count), "cuDeviceGetCount");
  std::vector<DeviceProperties> devices;
  for (int i = 0; i < count; ++i) devices.push_back(describe(i));
  return devices;
}

CudaDevice::CudaDevice(DeviceProperties properties) : properties_(std::move(properties)) {
  DeviceId id;
  driver().check(driver().cuDeviceGet(&id, properties_.ordinal), "cuDeviceGet");
  // Retained for as long as the process lives: contexts of workers that end must not take it from the others.
  driver().check(driver().cuDevicePrimaryCtxRetain(&context_, id), "cuDevicePrimaryCtxRetain");
}

std::shared_ptr<CudaDevice> CudaDevice::open(int ordinal) {
  static std::mutex mutex;
  // Never destroyed: threads that outlive the statics may release what is a device's.
  static auto& opened = *new std::map<int, std::shared_ptr<CudaDevice>>;
  std::lock_guard lock(mutex);
  if (const auto known = opened.find(ordinal); known != opened.end()) return known->second;
  const auto devices = list_devices();
  if (ordinal < 0 || static_cast<size_t>(ordinal) >= devices.size())
    throw Error(Code::kBackendUnavailable, "there is no NVIDIA device " + std::to_string(ordinal) + ": " +
                                               std::to_string(devices.size()) + " found");
  const DeviceProperties& p = devices[static_cast<size_t>(ordinal)];
  if (p.capability < kOldestCapability)
    throw Error(Code::kBackendUnavailable, p.name + " has compute capability " + std::to_string(p.capability / 10) +
                                               "." + std::to_string(p.capability % 10) + "; 8.0 is needed");
  return opened.emplace(ordinal, new CudaDevice(p)).first->second;
}

void CudaDevice::fail(Result result, const char* call, const std::string& detail) {
  if (is_final(result)) {
    const std::lock_guard lock(reason_mutex_);
    if (reason_.empty()) reason_ = std::string(call) + ": " + driver().describe(result);
    lost_.store(true, std::memory_order_release);
  }
  driver().fail(result, call, detail);
}

void CudaDevice::fail_lost() {
  const std::lock_guard lock(reason_mutex_);
  throw Error(Code::kDevice, properties_.name + " (device " + std::to_string(properties_.ordinal) +
                                 ") cannot be used by this process any more, since " + reason_);
}

bool CudaDevice::make_room() {
  // It may be asked for while a run is recorded.
  const Unrecorded unrecorded;
  const bool any = reclaim(*this);
  make_current();
  return any;
}

std::byte* CudaDevice::allocate(size_t bytes) {
  make_current();
  DevicePointer pointer = 0;
  with_memory([&] {
    const Result result = driver().cuMemAlloc_v2(&pointer, bytes);
    if (result == kSuccess) return;
    std::string detail = std::to_string(bytes) + " bytes on " + properties_.name;
    DeviceMemoryState state;
    if (driver().cuMemGetInfo_v2(&state.free, &state.total) == kSuccess)
      detail += ", which has " + std::to_string(state.free) + " free of " + std::to_string(state.total) +
                "; this process holds " + std::to_string(allocated_.load());
    fail(result, "cuMemAlloc", detail);
  });
  allocated_ += bytes;
  return reinterpret_cast<std::byte*>(pointer);
}

// At once, whatever is queued. Nothing that is can touch it: frames wait for their queue before they let go or move
// (Frame::grow, ~Frame), rooms of loops likewise (Room), guards when they are done or have failed (StepGuards), constants
// go after the frames that hold their program, and a user's buffer stays with each run until that has waited. Copies of
// buffers are done when they return. (That cuMemFree waits for the device itself is nowhere promised.)
void CudaDevice::release(std::byte* data, size_t bytes) noexcept {
  allocated_ -= bytes;
  ++releases_;
  if (const DeviceScope scope(*this); scope) driver().cuMemFree_v2(reinterpret_cast<DevicePointer>(data));
}

DeviceMemoryState CudaDevice::memory() {
  make_current();
  DeviceMemoryState state;
  check(driver().cuMemGetInfo_v2(&state.free, &state.total), "cuMemGetInfo");
  state.own = allocated_.load();
  return state;
}

void CudaDevice::upload(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes == 0) return;
  make_current();
  check(driver().cuMemcpyHtoD_v2(reinterpret_cast<DevicePointer>(to), from, bytes), "cuMemcpyHtoD");
  // The copy returns once the bytes are staged, and queues do not wait for the stream it is in.
  check(driver().cuStreamSynchronize(nullptr), "cuStreamSynchronize");
}

void CudaDevice::download(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes == 0) return;
  make_current();
  check(driver().cuMemcpyDtoH_v2(to, reinterpret_cast<DevicePointer>(from), bytes), "cuMemcpyDtoH");
}

std::unique_ptr<DeviceQueue> CudaDevice::make_queue() {
  return std::make_unique<Queue>(std::static_pointer_cast<CudaDevice>(shared_from_this()));
}

}  // namespace tw::cuda

namespace tw {

std::shared_ptr<Device> open_device(int index) { return cuda::CudaDevice::open(index); }

}  // namespace tw
