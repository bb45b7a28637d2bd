// Device memory: pages of its own for each allocation, so that an access past its end meets a page nobody may touch.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "driver.h"

using namespace tw_emulator;

namespace {

constexpr size_t kPage = 4096, kAlignment = 256;
constexpr unsigned char kCanary = 0xA5;

struct Allocation {
  size_t bytes;
  char* pages;  // a guard page, the pages with the data at their end, a guard page
  size_t page_bytes;
  int device;
};

std::map<DevicePointer, Allocation>& allocations() {
  static auto& map = *new std::map<DevicePointer, Allocation>;  // never destroyed: threads go on while the process ends
  return map;
}
size_t allocated[kMostDevices];

// Page-locked memory of the host, with its size.
std::map<const char*, size_t>& locked() {
  static auto& map = *new std::map<const char*, size_t>;  // likewise
  return map;
}

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
char* pointer_of(DevicePointer p) { return reinterpret_cast<char*>(p); }

int allocate(DevicePointer* out, size_t bytes) {
  const std::lock_guard lock(driver_lock());
  if (!has_context()) return kInvalidContext;
  const int device = current_device();
  if (const int result = lost(device)) return result;
  if (bytes == 0) return kInvalidValue;
  if (bytes > total_memory() || allocated[device] > total_memory() - bytes) return kOutOfMemory;
  const size_t padded = round_up(bytes, kAlignment), inner = round_up(padded, kPage), all = inner + 2 * kPage;
  void* memory = mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return kOutOfMemory;
  char* pages = static_cast<char*>(memory);
  mprotect(pages, kPage, PROT_NONE);
  mprotect(pages + kPage + inner, kPage, PROT_NONE);
  char* data = pages + kPage + inner - padded;
  std::memset(pages + kPage, kCanary, inner - padded);
  std::memset(data, 0xFF, bytes);
  std::memset(data + bytes, kCanary, padded - bytes);
  *out = reinterpret_cast<DevicePointer>(data);
  allocations()[*out] = {bytes, pages, all, device};
  allocated[device] += bytes;
  return kSuccess;
}

int release(DevicePointer p) {
  const std::lock_guard lock(driver_lock());
  if (p == 0) return kSuccess;
  const auto it = allocations().find(p);
  if (it == allocations().end() || !is_current(it->second.device, "memory to free")) return kInvalidValue;
  allocated[it->second.device] -= it->second.bytes;
  munmap(it->second.pages, it->second.page_bytes);
  allocations().erase(it);
  return kSuccess;
}

// Host memory that was allocated here counts as valid for both sides; so does everything that is not device memory
// where a host pointer is asked for.
int copy(void* stream, void* to, const void* from, size_t bytes, bool to_device, bool from_device) {
  const auto is_there = [=] {
    return (!to_device || is_device_range(reinterpret_cast<DevicePointer>(to), bytes)) &&
           (!from_device || is_device_range(reinterpret_cast<DevicePointer>(from), bytes));
  };
  if (!is_there()) return kInvalidValue;
  const auto move = [=](const void* source) {
    trace(std::string("copy ") + (from_device ? "device" : "host") + " to " + (to_device ? "device" : "host") + " " +
          std::to_string(bytes));
    if (!is_there()) return std::fprintf(stderr, "tensorwright emulator: copied memory that was freed\n"), kIllegalAddress;
    return std::memmove(to, source, bytes), kSuccess;
  };
  // Ordinary memory of the host: it is read before the call returns, and written; but by a recording when that is played.
  if (is_captured(stream)) return enqueue(stream, [=] { return move(from); });
  if (!from_device && !is_locked(from)) {
    const auto* bytes_of = static_cast<const char*>(from);
    return enqueue(stream, [=, staged = std::vector<char>(bytes_of, bytes_of + bytes)] { return move(staged.data()); });
  }
  const int result = enqueue(stream, [=] { return move(from); });
  return result == kSuccess && !to_device && !is_locked(to) ? flush(stream) : result;
}

// In a call that waits for it.
int copy_now(const char* call, void* to, const void* from, size_t bytes, bool to_device, bool from_device) {
  if (const int result = refuse_unsafe(call)) return result;
  return copy(nullptr, to, from, bytes, to_device, from_device);
}

// Unified addressing: a pointer is the device's if it lies in an allocation.
int copy_any(void* stream, DevicePointer to, DevicePointer from, size_t bytes) {
  const auto overlaps = [&](DevicePointer p) { return device_of(p) >= 0; };
  return copy(stream, pointer_of(to), pointer_of(from), bytes, overlaps(to), overlaps(from));
}

template <typename T>
int fill(void* stream, DevicePointer p, T value, size_t count) {
  if (p % sizeof(T) || !is_device_range(p, count * sizeof(T))) return kInvalidValue;
  const auto run = [=] {
    if (!is_device_range(p, count * sizeof(T))) return kIllegalAddress;
    trace("fill " + std::to_string(count * sizeof(T)));
    return std::fill_n(reinterpret_cast<T*>(p), count, value), kSuccess;
  };
  return enqueue(stream, run, FillParameters{p, count * sizeof(T), value, sizeof(T), count, 1});
}

}  // namespace

namespace tw_emulator {

size_t free_memory() {
  const std::lock_guard lock(driver_lock());
  return total_memory() - std::min(total_memory(), allocated[current_device()]);
}

bool is_device_range(DevicePointer begin, size_t bytes) {
  const std::lock_guard lock(driver_lock());
  auto it = allocations().upper_bound(begin);
  if (it == allocations().begin()) return bytes == 0;
  --it;
  if (bytes == 0) return true;
  return begin - it->first <= it->second.bytes && bytes <= it->second.bytes - (begin - it->first) &&
         is_current(it->second.device, "memory");
}

int device_of(DevicePointer p) {
  const std::lock_guard lock(driver_lock());
  auto it = allocations().upper_bound(p);
  if (it == allocations().begin()) return -1;
  --it;
  return p - it->first < it->second.bytes ? it->second.device : -1;
}

bool is_locked(const void* host) {
  const std::lock_guard lock(driver_lock());
  const auto* p = static_cast<const char*>(host);
  auto it = locked().upper_bound(p);
  return it != locked().begin() && p < (--it)->first + it->second;
}

std::string damaged_allocation() {
  const auto untouched = [](char c) { return static_cast<unsigned char>(c) == kCanary; };
  for (const auto& [begin, a] : allocations()) {
    const char* data = pointer_of(begin);
    const char* first = std::max(a.pages + kPage, const_cast<char*>(data) - kAlignment);
    const char* end = a.pages + a.page_bytes - kPage;
    const char* what = !std::all_of(first, data, untouched)             ? "before"
                       : !std::all_of(data + a.bytes, end, untouched) ? "behind"
                                                                       : nullptr;
    if (!what) continue;
    // Once is enough: the next launch starts clean.
    std::memset(const_cast<char*>(first), kCanary, static_cast<size_t>(data - first));
    std::memset(const_cast<char*>(data) + a.bytes, kCanary, static_cast<size_t>(end - data) - a.bytes);
    return std::string("wrote ") + what + " an allocation of " + std::to_string(a.bytes) + " bytes";
  }
  return {};
}

}  // namespace tw_emulator

TW_DRIVER cuMemAlloc_v2(DevicePointer* p, size_t bytes) {
  if (const int result = refuse_unsafe("cuMemAlloc")) return result;
  return allocate(p, bytes);
}
TW_DRIVER cuMemFree_v2(DevicePointer p) {
  if (const int result = refuse_unsafe("cuMemFree")) return result;
  return release(p);
}
TW_DRIVER cuMemAllocAsync(DevicePointer* p, size_t bytes, void*) { return allocate(p, bytes); }
TW_DRIVER cuMemFreeAsync(DevicePointer p, void* stream) {
  return enqueue(stream, [=] { return release(p); });
}
TW_DRIVER cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  const std::lock_guard lock(driver_lock());
  *total = total_memory();
  *free_bytes = free_memory();
  return lost(current_device());
}
TW_DRIVER cuMemGetAddressRange_v2(DevicePointer* base, size_t* bytes, DevicePointer p) {
  const std::lock_guard lock(driver_lock());
  if (device_of(p) < 0) return kInvalidValue;
  const auto it = --allocations().upper_bound(p);
  if (base) *base = it->first;
  if (bytes) *bytes = it->second.bytes;
  return kSuccess;
}

TW_DRIVER cuMemHostAlloc(void** p, size_t bytes, unsigned) {
  if (const int result = refuse_unsafe("cuMemHostAlloc")) return result;
  *p = std::aligned_alloc(kPage, round_up(std::max<size_t>(bytes, 1), kPage));
  if (!*p) return kOutOfMemory;
  std::memset(*p, 0xFF, bytes);
  const std::lock_guard lock(driver_lock());
  locked()[static_cast<char*>(*p)] = bytes;
  return kSuccess;
}
TW_DRIVER cuMemAllocHost_v2(void** p, size_t bytes) { return cuMemHostAlloc(p, bytes, 0); }
TW_DRIVER cuMemFreeHost(void* p) {
  const std::lock_guard lock(driver_lock());
  if (!has_context()) return kInvalidContext;
  if (const int result = refuse_unsafe("cuMemFreeHost")) return result;
  if (locked().erase(static_cast<char*>(p)) == 0) return kInvalidValue;
  return std::free(p), kSuccess;
}
TW_DRIVER cuMemHostGetDevicePointer_v2(DevicePointer* out, void* p, unsigned) {
  return *out = reinterpret_cast<DevicePointer>(p), kSuccess;
}
TW_DRIVER cuMemHostRegister_v2(void*, size_t, unsigned) { return refuse_unsafe("cuMemHostRegister"); }
TW_DRIVER cuMemHostUnregister(void*) { return refuse_unsafe("cuMemHostUnregister"); }

TW_DRIVER cuMemcpyAsync(DevicePointer to, DevicePointer from, size_t bytes, void* stream) {
  return copy_any(stream, to, from, bytes);
}
TW_DRIVER cuMemcpy(DevicePointer to, DevicePointer from, size_t bytes) {
  if (const int result = refuse_unsafe("cuMemcpy")) return result;
  return copy_any(nullptr, to, from, bytes);
}
TW_DRIVER cuMemcpyHtoDAsync_v2(DevicePointer to, const void* from, size_t bytes, void* stream) {
  return copy(stream, pointer_of(to), from, bytes, true, false);
}
TW_DRIVER cuMemcpyHtoD_v2(DevicePointer to, const void* from, size_t bytes) {
  return copy_now("cuMemcpyHtoD", pointer_of(to), from, bytes, true, false);
}
TW_DRIVER cuMemcpyDtoHAsync_v2(void* to, DevicePointer from, size_t bytes, void* stream) {
  return copy(stream, to, pointer_of(from), bytes, false, true);
}
TW_DRIVER cuMemcpyDtoH_v2(void* to, DevicePointer from, size_t bytes) {
  return copy_now("cuMemcpyDtoH", to, pointer_of(from), bytes, false, true);
}
TW_DRIVER cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, void* stream) {
  return copy(stream, pointer_of(to), pointer_of(from), bytes, true, true);
}
TW_DRIVER cuMemcpyDtoD_v2(DevicePointer to, DevicePointer from, size_t bytes) {
  return copy_now("cuMemcpyDtoD", pointer_of(to), pointer_of(from), bytes, true, true);
}

namespace {
struct Side2D {
  size_t x, y;
  int type;
  void* host;
  DevicePointer device;
  void* array;
  size_t pitch;
};
struct Copy2D {
  Side2D from, to;
  size_t width, height;
};
// 1 is host memory, 2 device memory, 4 either.
bool resolve(const Side2D& side, const Copy2D& copy, char*& begin, size_t& pitch) {
  constexpr int kHost = 1, kDevice = 2, kUnified = 4;
  if (side.type != kHost && side.type != kDevice && side.type != kUnified) return false;
  pitch = side.pitch ? side.pitch : copy.width;
  if (pitch < copy.width) return false;
  char* base = side.type == kHost ? static_cast<char*>(side.host) : pointer_of(side.device);
  begin = base + side.y * pitch + side.x;
  return side.type != kDevice || copy.height == 0 ||
         is_device_range(reinterpret_cast<DevicePointer>(begin), (copy.height - 1) * pitch + copy.width);
}
}  // namespace

TW_DRIVER cuMemcpy2DAsync_v2(const Copy2D* copy, void* stream) {
  char *from, *to;
  size_t from_pitch, to_pitch;
  if (!resolve(copy->from, *copy, from, from_pitch) || !resolve(copy->to, *copy, to, to_pitch)) return kInvalidValue;
  const size_t width = copy->width, height = copy->height;
  return enqueue(stream, [=] {
    for (size_t row = 0; row < height; ++row) std::memmove(to + row * to_pitch, from + row * from_pitch, width);
    return kSuccess;
  });
}
TW_DRIVER cuMemcpy2D_v2(const Copy2D* copy) {
  if (const int result = refuse_unsafe("cuMemcpy2D")) return result;
  return cuMemcpy2DAsync_v2(copy, nullptr);
}

TW_DRIVER cuMemsetD8Async(DevicePointer p, uint8_t value, size_t n, void* stream) { return fill(stream, p, value, n); }
TW_DRIVER cuMemsetD16Async(DevicePointer p, uint16_t value, size_t n, void* stream) { return fill(stream, p, value, n); }
TW_DRIVER cuMemsetD32Async(DevicePointer p, uint32_t value, size_t n, void* stream) { return fill(stream, p, value, n); }
TW_DRIVER cuMemsetD8_v2(DevicePointer p, uint8_t value, size_t n) { return fill(nullptr, p, value, n); }
TW_DRIVER cuMemsetD16_v2(DevicePointer p, uint16_t value, size_t n) { return fill(nullptr, p, value, n); }
TW_DRIVER cuMemsetD32_v2(DevicePointer p, uint32_t value, size_t n) { return fill(nullptr, p, value, n); }

TW_DRIVER cuDeviceGetDefaultMemPool(void** pool, int) { return *pool = allocated, kSuccess; }
TW_DRIVER cuDeviceGetMemPool(void** pool, int) { return *pool = allocated, kSuccess; }
TW_DRIVER cuMemPoolSetAttribute(void*, int, void*) { return kSuccess; }
TW_DRIVER cuMemPoolTrimTo(void*, size_t) { return kSuccess; }
