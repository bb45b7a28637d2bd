// Devices that the environment plays: each has memory, streams and code of its own; and work that is late.
#pragma once
#include <cstdlib>

#include "support.h"

namespace test {

inline void play(const char* what) { setenv("TENSORWRIGHT_EMULATOR_PLAY", what, 1); }

inline void test_devices(Device& device) {
  std::fprintf(stderr, "-- a dozen mixtures of devices follow on purpose\n");
  play("devices:2");
  constexpr int kInvalidValue = 1, kInvalidContext = 201, kInvalidHandle = 400;
  void *first, *second, *stream, *event;
  device.call("cuDevicePrimaryCtxRetain", &first, 0);
  device.call("cuDevicePrimaryCtxRetain", &second, 1);
  const size_t n = 256;
  const auto a = random_floats(n);
  Buffer in0(device, a), in1(device, a), out(device, n * 4);
  device.call("cuCtxPushCurrent_v2", second);
  Buffer far(device, a);
  device.call("cuStreamCreate", &stream, 1u);
  device.call("cuEventCreate", &event, 0u);
  std::vector<float> host(n);
  const auto into = [&] { return static_cast<void*>(host.data()); };
  check(device.try_call("cuMemcpyDtoH_v2", into(), in0.pointer(), n * 4) == kInvalidValue, "a copy of other memory");
  check(device.try_call("cuMemcpyDtoDAsync_v2", far.pointer(), in0.pointer(), n * 4, stream) == kInvalidValue,
        "a copy from other memory");
  check(device.try_call("cuMemsetD8Async", in0.pointer(), uint8_t{0}, n, stream) == kInvalidValue, "a fill of other memory");
  check(device.try_call("cuMemFree_v2", in0.pointer()) == kInvalidValue, "a free of other memory");
  check(device.try_launch_on(stream, "add", {1}, {256}, 0, far, far, far, int64_t(n)) == kInvalidContext,
        "a module of another device");
  device.call("cuCtxPopCurrent_v2", static_cast<void**>(nullptr));
  check(device.try_launch("add", {1}, {256}, 0, in0, far, out, int64_t(n)) == kInvalidValue, "an argument of another device");
  check(device.try_launch_on(stream, "add", {1}, {256}, 0, in0, in1, out, int64_t(n)) == kInvalidHandle,
        "a stream of another device");
  check(device.try_call("cuEventRecord", event, static_cast<void*>(nullptr)) == kInvalidHandle, "an event of another device");
  check(device.try_call("cuEventDestroy_v2", event) == kInvalidHandle, "the end of an event of another device");
  check(device.try_call("cuStreamDestroy_v2", stream) == kInvalidHandle, "the end of a stream of another device");
  device.call("cuCtxPushCurrent_v2", static_cast<void*>(nullptr));
  uint64_t pointer;
  check(device.try_call("cuMemAlloc_v2", &pointer, n) == kInvalidContext, "an allocation on no device");
  device.call("cuCtxSetCurrent", second);
  device.call("cuMemcpyDtoH_v2", into(), far.pointer(), n * 4);
  check(host == a, "memory of its own");
  device.call("cuEventDestroy_v2", event);
  device.call("cuStreamDestroy_v2", stream);
  far.free();
  device.call("cuCtxPopCurrent_v2", static_cast<void**>(nullptr));
  play("");
}

inline void test_late(Device& device) {
  constexpr int kIllegalAddress = 700;
  const size_t n = 256;
  const auto a = random_floats(n), b = random_floats(n);
  Buffer in0(device, a), in1(device, b), out(device, n * 4);
  void *stream, *locked;
  device.call("cuStreamCreate", &stream, 1u);
  device.call("cuMemHostAlloc", &locked, n * 4, 0u);
  play("late:1");
  device.launch_on(stream, "add", {1}, {256}, 0, in0, in1, out, int64_t(n));
  device.call("cuMemcpyDtoHAsync_v2", locked, out.pointer(), n * 4, stream);
  check(std::isnan(out.read<float>()[3]), "nothing runs before it is waited for");
  device.call("cuStreamSynchronize", stream);
  for (size_t i = 0; i < n; ++i) check(static_cast<float*>(locked)[i] == a[i] + b[i], "late sum");
  // Ordinary memory has been read when the call returns.
  std::vector<float> host = b;
  device.call("cuMemcpyHtoDAsync_v2", in0.pointer(), static_cast<const void*>(host.data()), n * 4, stream);
  host.assign(n, 0);
  device.call("cuStreamSynchronize", stream);
  check(in0.read<float>() == b, "staged copy");
  // What is freed too early is noticed; the device is then lost to the process, so this one is played on another.
  play("late:1,devices:3");
  void *third, *other;
  device.call("cuDevicePrimaryCtxRetain", &third, 2);
  device.call("cuCtxPushCurrent_v2", third);
  device.call("cuStreamCreate", &other, 1u);
  Buffer from(device, a), to(device, n * 4);
  device.call("cuMemcpyDtoDAsync_v2", to.pointer(), from.pointer(), n * 4, other);
  from.free();
  check(device.try_call("cuStreamSynchronize", other) == kIllegalAddress, "memory that is freed too early");
  to.free();
  device.call("cuCtxPopCurrent_v2", static_cast<void**>(nullptr));
  play("");
  device.call("cuMemFreeHost", locked);
  device.call("cuStreamDestroy_v2", stream);
}

}  // namespace test
