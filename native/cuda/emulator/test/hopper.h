// Tests of what needs compute capability 9.0.
#pragma once
#include <functional>

#include "support.h"

namespace test {

struct alignas(64) TensorMap {
  char bytes[128];
};
enum : int { kUint8 = 0, kFloat16 = 6, kFloat32 = 7, kBfloat16 = 9 };

// A matrix [rows][columns] and a box of it; `swizzle` 0 to 3: none, 32, 64, 128 bytes.
inline TensorMap encode_matrix(Device& device, int type, const Buffer& data, size_t element, size_t rows, size_t columns,
                               unsigned box_rows, unsigned box_columns, int swizzle) {
  TensorMap map;
  const uint64_t dims[] = {columns, rows}, strides[] = {columns * element};
  const unsigned box[] = {box_columns, box_rows}, steps[] = {1, 1};
  device.call("cuTensorMapEncodeTiled", &map, type, 2u, reinterpret_cast<void*>(data.pointer()), static_cast<const uint64_t*>(dims),
              static_cast<const uint64_t*>(strides), static_cast<const unsigned*>(box), static_cast<const unsigned*>(steps), 0,
              swizzle, 3, 0);
  return map;
}

template <typename T>
std::vector<T> random_values(size_t n, const std::function<T(int)>& make) {
  std::vector<T> out(n);
  for (T& x : out) x = make(static_cast<int>(random_bits() & 0xFFFF));
  return out;
}

// Through the TMA ring: A[64][K] · B[N][K]ᵀ for three slabs of 128 bytes of K; the last one is partly outside.
template <typename T>
void test_ring(Device& device, const char* kernel, int type, size_t n, const std::function<T(int)>& make,
               const std::function<double(T)>& value) {
  const size_t slab = 128 / sizeof(T), k = 2 * slab + 32 / sizeof(T);
  const auto a = random_values<T>(64 * k, make), b = random_values<T>(n * k, make);
  Buffer in0(device, a), in1(device, b), out(device, 64 * n * 4);
  const auto u = [](size_t x) { return static_cast<unsigned>(x); };
  const TensorMap map0 = encode_matrix(device, type, in0, sizeof(T), 64, k, 64, u(slab), 3);
  const TensorMap map1 = encode_matrix(device, type, in1, sizeof(T), n, k, u(n), u(slab), 3);
  const size_t shared = 2 * (64 + n) * 128;
  device.allow_shared(kernel, static_cast<int>(shared));
  device.launch(kernel, {1}, {256}, u(shared), map0, map1, map0, out, int64_t{3});
  const auto result = out.read<float>();
  for (size_t i = 0; i < 64; ++i) {
    for (size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (size_t x = 0; x < k; ++x) sum += value(a[i * k + x]) * value(b[j * k + x]);
      check_near(result[i * n + j], sum, 1e-5 * (1 + std::fabs(sum)), kernel);
    }
  }
}

inline void test_wgmma_turned(Device& device, const std::function<uint16_t(int)>& make, double (*value)(uint16_t)) {
  const auto a = random_values<uint16_t>(64 * 64, make), b = random_values<uint16_t>(64 * 64, make);
  Buffer in0(device, a), in1(device, b), out(device, 64 * 64 * 4);
  const TensorMap map0 = encode_matrix(device, kFloat16, in0, 2, 64, 64, 64, 64, 3);
  const TensorMap map1 = encode_matrix(device, kFloat16, in1, 2, 64, 64, 64, 64, 3);
  for (const bool a_transposed : {false, true}) {
    device.launch(a_transposed ? "wgmma_turned_a" : "wgmma_turned_b", {1}, {128}, 16384, map0, map1, map0, out, int64_t{0});
    const auto result = out.read<float>();
    for (size_t i = 0; i < 64; ++i) {
      for (size_t j = 0; j < 64; ++j) {
        double sum = 0;
        for (size_t x = 0; x < 64; ++x) {
          sum += a_transposed ? value(a[x * 64 + i]) * value(b[j * 64 + x]) : value(a[i * 64 + x]) * value(b[x * 64 + j]);
        }
        check_near(result[i * 64 + j], sum, 1e-5 * (1 + std::fabs(sum)), a_transposed ? "wgmma, A turned" : "wgmma, B turned");
      }
    }
  }
}

inline void test_tma(Device& device) {
  const size_t rows = 40, columns = 52;
  const auto a = random_floats(rows * columns);
  Buffer in0(device, a);
  for (const int64_t at : {0, -3, 30}) {
    Buffer out(device, std::vector<float>(rows * columns, -7.0f));
    const TensorMap map0 = encode_matrix(device, kFloat32, in0, 4, rows, columns, 16, 32, 3);
    const TensorMap map1 = encode_matrix(device, kFloat32, out, 4, rows, columns, 16, 32, 3);
    device.launch("tma_copy", {1}, {32}, 4096, map0, map1, map0, in0, at);
    const auto result = out.read<float>();
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < columns; ++c) {
        const auto i = static_cast<int64_t>(r) - at, j = static_cast<int64_t>(c) - at;
        const bool in_box = i >= 0 && i < 16 && j >= 0 && j < 32;
        check(result[r * columns + c] == (in_box ? a[r * columns + c] : -7.0f), "element of a box");
      }
    }
  }
}

// 3×3 windows at stride 2 with one pixel of padding over [2][9][11][8] halves.
inline void test_im2col(Device& device) {
  const int n = 2, h = 9, w = 11, channels = 8, p_count = 5, q_count = 6;
  const auto a = random_values<uint16_t>(static_cast<size_t>(n * h * w * channels), [](int x) { return static_cast<uint16_t>(x); });
  Buffer in0(device, a), out(device, 64 * 16);
  TensorMap map;
  const uint64_t dims[] = {8, 11, 9, 2}, strides[] = {16, 16 * 11, 16 * 11 * 9};
  const int lower[] = {-1, -1}, upper[] = {1 - 2, 1 - 2};
  const unsigned steps[] = {1, 2, 2, 1};
  device.call("cuTensorMapEncodeIm2col", &map, int{kFloat16}, 4u, reinterpret_cast<void*>(in0.pointer()),
              static_cast<const uint64_t*>(dims), static_cast<const uint64_t*>(strides), static_cast<const int*>(lower),
              static_cast<const int*>(upper), 8u, 64u, static_cast<const unsigned*>(steps), 0, 0, 3, 0);
  const int first = 4 * q_count + 2;  // the pixel (0, 4, 2); the 64 end behind the last image
  device.launch("im2col", {1}, {128}, 1024, map, out, int64_t{first % q_count}, int64_t{first / q_count}, int64_t{0});
  const auto result = out.read<uint16_t>();
  for (int i = 0; i < 64; ++i) {
    const int pixel = first + i, image = pixel / (p_count * q_count), p = pixel / q_count % p_count, q = pixel % q_count;
    const int y = 2 * p - 1 + 1, x = 2 * q - 1 + 2;
    for (int c = 0; c < channels; ++c) {
      const bool inside = image < n && y >= 0 && y < h && x >= 0 && x < w;
      const uint16_t expected = inside ? a[static_cast<size_t>(((image * h + y) * w + x) * channels + c)] : 0;
      check(result[static_cast<size_t>(i * channels + c)] == expected, "im2col element");
    }
  }
}

inline void test_cluster(Device& device) {
  const auto a = random_floats(512);
  Buffer in0(device, a), out(device, 8 * 128 * 4);
  const TensorMap map0 = encode_matrix(device, kFloat32, in0, 4, 16, 32, 16, 32, 0);
  device.cluster = 4;
  device.launch("cluster_sum", {8}, {128}, 8192, map0, map0, map0, out, int64_t{0});
  device.cluster = 1;
  const auto result = out.read<float>();
  for (size_t block = 0; block < 8; ++block) {
    for (size_t i = 0; i < 128; ++i) {
      double sum = 0;
      for (size_t r = 0; r < 4; ++r) sum += a[128 * r + i] + static_cast<double>(block / 4 * 4 + r);
      check_near(result[128 * block + i], sum, 1e-5, "sum over a cluster");
    }
  }
}

inline void test_cluster_faults(Device& device) {
  std::fprintf(stderr, "-- four failures follow on purpose\n");
  Buffer out(device, 256);
  const TensorMap none{};
  const auto result = [&](unsigned cluster, int64_t which) {
    device.cluster = cluster;
    const int got = device.try_launch("cluster_faults", {cluster}, {32}, 1024, none, none, none, out, which);
    device.cluster = 1;
    return got;
  };
  check(result(2, 0) == 700, "arrival at a block that has ended");
  check(result(2, 1) == 719, "other use of a barrier's memory");
  check(result(16, 2) == 912, "a cluster of sixteen");
  check(result(3, 2) == 0, "a cluster of three");
  check(result(1, 3) == 719, "a barrier that is initialised again");
}

inline void test_store_matrices(Device& device) {
  Buffer out(device, 256 * 4);
  const TensorMap none{};
  device.launch("store_matrices", {1}, {32}, 0, none, none, none, out, int64_t{0});
  const auto result = out.read<float>();
  for (size_t i = 0; i < 256; ++i) {
    const size_t matrix = i / 64, r = i / 8 % 8, c = i % 8;
    check(result[i] == static_cast<float>(64 * matrix + 8 * c + r), "transposed matrix");
  }
}

}  // namespace test
