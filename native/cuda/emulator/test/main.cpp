// The emulator's self-test: main DRIVER.so NVRTC.so. Kernels are compiled and launched through the two libraries alone,
// as the addon does, and compared with plain loops.
#include <dlfcn.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "capture.h"
#include "cudnn.h"
#include "devices.h"
#include "hopper.h"
#include "support.h"

using namespace test;

namespace {

void test_add(Device& device) {
  const size_t n = 1000;
  auto a = random_floats(n), b = random_floats(n);
  Buffer in0(device, a), in1(device, b), out(device, n * 4);
  device.launch("add", {4}, {256}, 0, in0, in1, out, int64_t(n));
  const auto result = out.read<float>();
  for (size_t i = 0; i < n; ++i) check(result[i] == a[i] + b[i], "sum");
}

void test_reduce(Device& device) {
  const size_t rows = 5, n = 777;
  const auto a = random_floats(rows * n);
  Buffer in0(device, a), out(device, rows * 3 * 4);
  device.launch("reduce", {rows}, {256}, 0, in0, out, int64_t(n));
  const auto result = out.read<float>();
  for (size_t r = 0; r < rows; ++r) {
    double sum = 0, top = -1e30, bottom = 1e30;
    for (size_t i = 0; i < n; ++i) {
      sum += a[r * n + i];
      top = std::max<double>(top, a[r * n + i]);
      bottom = std::min<double>(bottom, a[r * n + i]);
    }
    check_near(result[3 * r], sum, 1e-4, "sum of a row");
    check(result[3 * r + 1] == top && result[3 * r + 2] == bottom, "extremes of a row");
  }
}

void test_warp(Device& device) {
  Buffer out(device, 12 * 32 * 4);
  device.launch("warp", {1}, {32}, 0, out);
  const auto r = out.read<int>();
  int thirds = 0;
  for (int lane = 0; lane < 32; lane += 3) thirds |= 1 << lane;
  for (int lane = 0; lane < 32; ++lane) {
    check(r[lane] == 25, "shuffle");
    check(r[32 + lane] == (lane < 3 ? lane : lane - 3), "shuffle_up");
    check(r[64 + lane] == (lane > 28 ? lane : lane + 3), "shuffle_down");
    check(r[96 + lane] == (lane ^ 9), "shuffle_xor");
    check(r[128 + lane] == lane / 8 * 8 + 3, "shuffle in groups");
    check(r[160 + lane] == (lane % 8 > 5 ? lane : lane + 2), "shuffle_down in groups");
    check(r[192 + lane] == 496, "warp sum");
    check(r[224 + lane] == lane / 8 * 8 + 7, "maximum of a group");
    check(r[256 + lane] == thirds, "ballot");
    check(r[288 + lane] == 496, "sum of 64-bit values");
    check(r[320 + lane] == -(lane ^ 1), "shuffle of bytes");
    check(r[352 + lane] == (lane < 16 ? lane ^ 1 : 100 + (lane ^ 1)), "shuffle of half a warp");
  }
}

void test_async_copy(Device& device) {
  const size_t n = 506;
  const auto a = random_floats(n);
  Buffer in0(device, a), out(device, 512 * 4);
  device.launch("async_copy", {1}, {64}, 2048, in0, out, int64_t(n));
  const auto result = out.read<float>();
  for (size_t i = 0; i < 512; ++i) {
    const size_t from = i / 256 * 256 + (i % 256 + 4) % 256;
    check(result[i] == (from < n ? a[from] : 0.0f), "copied element");
  }
  device.launch("hasty_copy", {1}, {64}, 0, in0, out, int64_t(n));
  for (const float x : slice(out.read<float>(), 0, 256)) check(std::isnan(x), "a copy shows before it was waited for");
}

// [16][K] times [8][K]: every type's rows are 32 bytes.
template <typename In, typename Out>
void test_mma(Device& device, const char* kernel, const std::function<In(int)>& make, const std::function<double(In)>& value,
              bool transposed = false) {
  constexpr size_t k = 32 / sizeof(In);
  std::vector<In> a(16 * k), b(8 * k);
  for (size_t i = 0; i < a.size(); ++i) a[i] = make(static_cast<int>(random_bits() & 0xFFFF));
  for (size_t i = 0; i < b.size(); ++i) b[i] = make(static_cast<int>(random_bits() & 0xFFFF));
  Buffer in0(device, a), in1(device, b), out(device, 128 * 4);
  device.launch(kernel, {1}, {32}, 0, in0, in1, out);
  const auto result = out.read<Out>();
  for (size_t m = 0; m < 16; ++m) {
    for (size_t n = 0; n < 8; ++n) {
      double sum = 0;
      for (size_t i = 0; i < k; ++i) sum += value(a[m * k + i]) * value(transposed ? b[i * 8 + n] : b[n * k + i]);
      check_near(result[m * 8 + n], sum, 1e-5 * (1 + std::fabs(sum)), kernel);
    }
  }
}

// Small integers are exact in 16-bit floats.
uint16_t f16_of_int(int x) {
  if (x == 0) return 0;
  int exponent = 0;
  for (int m = std::abs(x); m > 1; m >>= 1) ++exponent;
  const int mantissa = (std::abs(x) << 10 >> exponent) & 0x3FF;
  return static_cast<uint16_t>((x < 0 ? 0x8000 : 0) | (exponent + 15) << 10 | mantissa);
}
double int_of_f16(uint16_t bits) {
  if ((bits & 0x7FFF) == 0) return 0;
  const double magnitude = std::ldexp(1.0 + (bits & 0x3FF) / 1024.0, (bits >> 10 & 31) - 15);
  return bits & 0x8000 ? -magnitude : magnitude;
}

void test_tensor_cores(Device& device) {
  const auto small = [](int x) { return x % 127 - 63; };
  const auto f16 = [&](int x) { return f16_of_int(small(x)); };
  test_mma<uint16_t, float>(device, "mma_f16", f16, int_of_f16);
  test_mma<uint16_t, float>(device, "mma_f16_trans", f16, int_of_f16, true);
  test_mma<uint16_t, float>(
      device, "mma_bf16",
      [&](int x) { return static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(small(x))) >> 16); },
      [](uint16_t x) { return double(std::bit_cast<float>(uint32_t{x} << 16)); });
  test_mma<float, float>(
      device, "mma_tf32", [&](int x) { return static_cast<float>(x) / 999.0f; },
      [](float x) { return double(std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0xFFFFE000u)); });
  test_mma<int8_t, int>(
      device, "mma_i8", [](int x) { return static_cast<int8_t>(x); }, [](int8_t x) { return double(x); });
  test_mma<uint8_t, int>(
      device, "mma_u8", [](int x) { return static_cast<uint8_t>(x); }, [](uint8_t x) { return double(x); });
}

void test_atomics(Device& device) {
  Buffer ints(device, std::vector<int>{0, -5, 5}), floats(device, std::vector<float>{0, 1, 1}),
      halves(device, std::vector<uint16_t>{7, 0}), bytes(device, std::vector<int8_t>{1, 2, 0, -128}),
      longs(device, std::vector<int64_t>{0, 0});
  device.launch("atomics", {4}, {128}, 0, ints, floats, halves, bytes, longs);
  check(ints.read<int>() == std::vector<int>{512, 511, -511}, "atomics on integers");
  check(floats.read<float>() == std::vector<float>{256, -511, 256}, "atomics on floats");
  check(halves.read<uint16_t>() == std::vector<uint16_t>{7, f16_of_int(6)}, "atomic sum of halves");
  check(bytes.read<int8_t>() == std::vector<int8_t>{1, 2, 0, 127}, "atomics on bytes");
  check(longs.read<int64_t>() == std::vector<int64_t>{-512, int64_t{511} << 32}, "atomics on 64-bit integers");
}

void test_conversions(Device& device) {
  std::vector<double> a(64, 0.0);
  std::vector<int64_t> b(64, 0);
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> special = {1 + 0x1p-11, 1 + 0x1p-11 + 0x1p-40, 65519.999, 65520, 0x1p-25, 0x1.8p-24, -0x1p-24,
                                       1e300, std::nan(""), -inf, -2.5, 3.5, 200, -300, 1e19, 0x1.01p0, 0x1.01p0 + 0x1p-50};
  std::copy(special.begin(), special.end(), a.begin());
  const std::vector<int64_t> integers = {2049, (int64_t{1} << 53) + 1, -((int64_t{257} << 45) + 1), 65519, int64_t{257} << 45};
  std::copy(integers.begin(), integers.end(), b.begin());
  Buffer in0(device, a), in1(device, b), o0(device, 128), o1(device, 128), o2(device, 64), o3(device, 256), o4(device, 512),
      o5(device, 128), o6(device, 128), o7(device, 64);
  device.launch("conversions", {1}, {64}, 0, in0, in1, o0, o1, o2, o3, o4, o5, o6, o7);
  const auto f16 = o0.read<uint16_t>(), bf16 = o1.read<uint16_t>(), long_f16 = o5.read<uint16_t>(),
             long_bf16 = o6.read<uint16_t>();
  check(slice(f16, 0, 8) == std::vector<uint16_t>{0x3C00, 0x3C01, 0x7BFF, 0x7C00, 0, 2, 0x8001, 0x7C00}, "double to half");
  check((f16[8] & 0x7FFF) > 0x7C00 && f16[9] == 0xFC00, "NaN and infinity to half");
  check(bf16[15] == 0x3F80 && bf16[16] == 0x3F81 && bf16[7] == 0x7F80, "double to bfloat16 rounds once");
  const auto i8 = o2.read<int8_t>();
  check(i8[10] == -2 && i8[11] == 4 && i8[12] == 127 && i8[13] == -128 && i8[8] == 0, "rounding to bytes saturates");
  const auto i32 = o3.read<int>();
  check(i32[10] == -2 && i32[11] == 3 && i32[8] == 0, "double to integer truncates");
  const auto u64 = o4.read<uint64_t>();
  check(u64[14] == 10000000000000000000u && u64[10] == static_cast<uint64_t>(-2), "double to 64 bits");
  check(long_f16[0] == 0x6800 && long_f16[1] == 0x7C00 && long_f16[3] == 0x7BFF, "integer to half");
  // 257 * 2^45 lies between two bfloat16 numbers: ties to even go down, one more goes up.
  check(long_bf16[2] == 0xDA01 && long_bf16[4] == 0x5A00, "integer to bfloat16 rounds once");
  check(o7.read<int8_t>()[0] == 1 && o7.read<int8_t>()[20] == 0 && o7.read<int8_t>()[8] == 1, "to bool");
}

void test_faults(Device& device) {
  struct Case {
    int64_t which;
    int result;
    const char* what;
  };
  std::fprintf(stderr, "-- eight failures follow on purpose\n");
  for (const Case& c : {Case{0, 719, "barrier in half of a block"}, {1, 700, "write behind an allocation"},
                        {2, 700, "write far behind an allocation"}, {3, 700, "write behind shared memory"},
                        {4, 719, "shuffle in a part of a warp"}, {5, 719, "named barrier that others pass by"},
                        {6, 716, "misaligned cp.async"}, {7, 719, "division by zero"}}) {
    Buffer out(device, 256);
    const int result = device.try_launch("faults", {1}, {64}, 128, out, c.which);
    check(result == c.result, c.what);
  }
  Buffer out(device, 256);
  check(device.try_launch("faults", {1}, {128}, 128, out, int64_t{9}) != 0, "more threads than launch bounds");
  check(device.try_launch("faults", {1}, {64}, 64 * 1024, out, int64_t{9}) != 0, "more shared memory than agreed");
  device.launch("faults", {1}, {64}, 128, out, int64_t{9});  // works again
}

void test_named_barriers(Device& device) {
  Buffer out(device, 4 * 64 * 4);
  device.launch("named_barriers", {1}, {128}, 0, out, int64_t{4});
  const auto result = out.read<float>();
  for (int i = 0; i < 256; ++i) check(result[i] == i / 64 * 100 + (63 - i % 64), "slot");
}

void test_graph(Device& device) {
  const size_t n = 300;
  const auto a = random_floats(n), b = random_floats(n), c = random_floats(n);
  Buffer in0(device, a), in1(device, b), out(device, n * 4);
  std::vector<float> host(n, -1.0f);
  void* stream;
  void* other;
  void* event;
  void* graph;
  void* executable;
  device.call("cuStreamCreate", &stream, 1u);
  device.call("cuStreamCreate", &other, 1u);
  device.call("cuEventCreate", &event, 0u);
  device.call("cuStreamBeginCapture_v2", stream, 1);
  device.launch_on(stream, "add", {2}, {256}, 0, in0, in1, out, int64_t(n));
  device.call("cuEventRecord", event, stream);
  device.call("cuStreamWaitEvent", other, event, 0u);
  device.launch_on(other, "add", {2}, {256}, 0, out, in1, out, int64_t(n));
  device.call("cuEventRecord", event, other);
  device.call("cuStreamWaitEvent", stream, event, 0u);
  device.call("cuMemcpyDtoHAsync_v2", host.data(), out.pointer(), n * 4, stream);
  device.call("cuStreamEndCapture", stream, &graph);
  check(host[0] == -1.0f, "capture runs nothing");
  device.call("cuGraphInstantiateWithFlags", &executable, graph, 0ull);
  for (const auto& input : {a, c}) {
    device.call("cuMemcpyHtoD_v2", in0.pointer(), input.data(), n * 4);
    device.call("cuGraphLaunch", executable, stream);
    device.call("cuStreamSynchronize", stream);
    for (size_t i = 0; i < n; ++i) check(host[i] == input[i] + b[i] + b[i], "replayed sum");
  }
  device.call("cuGraphExecDestroy", executable);
  device.call("cuGraphDestroy", graph);
}

void test_memory(Device& device) {
  Buffer a(device, 100);
  std::vector<char> host(200);
  check(device.try_call("cuMemcpyHtoD_v2", a.pointer(), host.data(), size_t{101}) == 1, "copy past the end");
  check(device.try_call("cuMemcpyDtoH_v2", host.data(), a.pointer() + 50, size_t{51}) == 1, "copy from past the end");
  check(device.try_call("cuMemFree_v2", a.pointer() + 1) == 1, "free of something else");
  for (const uint8_t x : a.read<uint8_t>()) check(x == 0xFF, "fresh memory is poisoned");
  device.call("cuMemsetD32Async", a.pointer(), 0x01020304u, size_t{25}, static_cast<void*>(nullptr));
  check(a.read<uint32_t>()[24] == 0x01020304u, "fill");
}

void test_hopper(Device& device) {
  const auto small = [](int x) { return x % 127 - 63; };
  const auto f16 = [&](int x) { return f16_of_int(small(x)); };
  test_ring<uint16_t>(device, "ring_f16", kFloat16, 64, f16, int_of_f16);
  test_ring<uint16_t>(
      device, "ring_bf16", kBfloat16, 256,
      [&](int x) { return static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(small(x))) >> 16); },
      [](uint16_t x) { return double(std::bit_cast<float>(uint32_t{x} << 16)); });
  test_ring<float>(
      device, "ring_tf32", kFloat32, 24, [&](int x) { return static_cast<float>(small(x)); }, [](float x) { return double(x); });
  test_ring<int8_t>(
      device, "ring_i8", kUint8, 32, [](int x) { return static_cast<int8_t>(x); }, [](int8_t x) { return double(x); });
  test_ring<uint8_t>(
      device, "ring_u8", kUint8, 32, [](int x) { return static_cast<uint8_t>(x); }, [](uint8_t x) { return double(x); });
  test_wgmma_turned(device, f16, int_of_f16);
  test_tma(device);
  test_im2col(device);
  test_cluster(device);
  test_cluster_faults(device);
  test_store_matrices(device);
}

void test_speed(Device& device) {
  const size_t n = 256 * 2000;
  Buffer in0(device, random_floats(n)), in1(device, random_floats(n)), out(device, n * 4);
  const auto begin = std::chrono::steady_clock::now();
  device.launch("add", {2000}, {256}, 0, in0, in1, out, int64_t(n));
  const double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%-20s %.1f us for a block of 256 threads without barriers\n", "speed", us / 2000);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: test_emulator DRIVER.so NVRTC.so\n"), 2;
  Device device(argv[1], argv[2], read_kernels());
  const std::pair<const char*, void (*)(Device&)> tests[] = {
      {"add", test_add},           {"reduce", test_reduce},   {"warp", test_warp},
      {"async_copy", test_async_copy}, {"tensor_cores", test_tensor_cores}, {"atomics", test_atomics},
      {"conversions", test_conversions}, {"named_barriers", test_named_barriers}, {"graph", test_graph},
      {"capture", test_capture},   {"memory", test_memory},     {"hopper", test_hopper},   {"devices", test_devices}, {"late", test_late},
      {"faults", test_faults},   {"speed", test_speed},
  };
  for (const auto& [name, test] : tests) {
    if (test == test_hopper && device.major < 9) continue;
    const int before = failures();
    test(device);
    std::printf("%-20s %s\n", name, failures() == before ? "ok" : "FAILED");
  }
  const int before = failures();
  test_cudnn(argv[1]);
  std::printf("%-20s %s\n", "cudnn", failures() == before ? "ok" : "FAILED");
  return failures() ? 1 : 0;
}
