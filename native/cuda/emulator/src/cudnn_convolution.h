// What the emulated cuDNN computes: a convolution and the maps after it, by plain loops over strided tensors.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "number.h"

namespace tw_emulator::cudnn {

enum DataType : int { kFloat = 0, kHalf = 2, kBFloat16 = 9 };

struct TensorInfo {
  int type = kFloat;
  std::vector<int64_t> dims, strides;
  int64_t id = 0, alignment = 1;
  bool is_virtual = false, by_value = false;

  size_t element_bytes() const { return type == kFloat ? 4 : 2; }
  int64_t count() const {
    int64_t n = 1;
    for (const int64_t d : dims) n *= d;
    return n;
  }
  size_t bytes() const {
    int64_t last = 0;
    for (size_t i = 0; i < dims.size(); ++i) last += (dims[i] - 1) * strides[i];
    return static_cast<size_t>(last + 1) * element_bytes();
  }
  // Where an element lies; of an axis of one element there is but that one.
  int64_t offset(const std::vector<int64_t>& at) const {
    int64_t o = 0;
    for (size_t i = 0; i < dims.size(); ++i) o += (dims[i] == 1 ? 0 : at[i]) * strides[i];
    return o;
  }
};

struct MapInfo {
  int mode;
  TensorInfo left, right, to;
  bool binary;
};

struct Computation {
  TensorInfo x, w, y;  // y: of the convolution itself
  std::vector<int64_t> before, strides, dilations;
  std::vector<MapInfo> maps;
  TensorInfo result;
};

inline float load(const TensorInfo& t, const void* data, int64_t at) {
  if (t.type == kFloat) return static_cast<const float*>(data)[at];
  const uint16_t bits = static_cast<const uint16_t*>(data)[at];
  return t.type == kHalf ? float_of_f16(bits) : float_of_bf16(bits);
}

inline void store(const TensorInfo& t, void* data, int64_t at, float value) {
  if (t.type == kFloat)
    static_cast<float*>(data)[at] = value;
  else
    static_cast<uint16_t*>(data)[at] = t.type == kHalf ? f16_of_float(value) : bf16_of_float(value);
}

inline float apply(int mode, float a, float b) {
  switch (mode) {
    case 0:
      return a + b;
    case 1:
      return a * b;
    case 2:
      return std::min(a, b);
    case 3:
      return std::max(a, b);
    case 4:
      return std::sqrt(a);
    case 6:
      return a / b;
    case 9:
      return a - b;
    case 10:
      return std::fabs(a);
    case 11:
      return std::ceil(a);
    case 12:
      return std::cos(a);
    case 13:
      return std::exp(a);
    case 14:
      return std::floor(a);
    case 15:
      return std::log(a);
    case 16:
      return -a;
    case 18:
      return std::sin(a);
    case 19:
      return std::tan(a);
    case 20:
      return std::erf(a);
    case 22:
      return 1 / a;
    case 100:
      return std::max(a, 0.0f);
    case 101:
      return std::tanh(a);
    case 102:
      return 1 / (1 + std::exp(-a));
    case 104:
      return 0.5f * a * (1 + std::erf(a * 0.70710678f));
    default:
      return 0.5f * a * (1 + std::tanh(0.7978845608f * (a + 0.044715f * a * a * a)));
  }
}

// The next place in row-major order; false after the last.
inline bool advance(std::vector<int64_t>& at, const std::vector<int64_t>& dims) {
  for (size_t i = dims.size(); i-- > 0;) {
    if (++at[i] < dims[i]) return true;
    at[i] = 0;
  }
  return false;
}

// `data`: of every tensor that is not virtual. `tf32`: factors are kept to 10 bits of mantissa.
inline void compute(const Computation& c, const std::map<int64_t, void*>& data, bool tf32) {
  const auto factor = [&](const TensorInfo& t, const std::vector<int64_t>& at) {
    const float f = load(t, data.at(t.id), t.offset(at));
    return tf32 ? float_of_tf32(tf32_of_float(f)) : f;
  };
  const int64_t channels = c.w.dims[1], columns = c.w.dims[0] / (c.x.dims[1] / channels);
  const std::vector<int64_t> taps(c.w.dims.begin() + 1, c.w.dims.end());
  std::vector<int64_t> at(c.y.dims.size());
  do {
    double sum = 0;
    std::vector<int64_t> tap(taps.size());
    do {
      std::vector<int64_t> from = {at[0], at[1] / columns * channels + tap[0]};
      bool inside = true;
      for (size_t i = 0; i + 2 < at.size(); ++i) {
        from.push_back(at[2 + i] * c.strides[i] + tap[1 + i] * c.dilations[i] - c.before[i]);
        inside = inside && from.back() >= 0 && from.back() < c.x.dims[2 + i];
      }
      std::vector<int64_t> filter = {at[1]};
      filter.insert(filter.end(), tap.begin(), tap.end());
      if (inside) sum += static_cast<double>(factor(c.x, from)) * factor(c.w, filter);
    } while (advance(tap, taps));
    std::map<int64_t, float> between = {{c.y.id, static_cast<float>(sum)}};
    for (const MapInfo& m : c.maps) {
      const auto operand = [&](const TensorInfo& t) {
        const auto known = between.find(t.id);
        return known != between.end() ? known->second : load(t, data.at(t.id), t.offset(at));
      };
      between[m.to.id] = apply(m.mode, operand(m.left), m.binary ? operand(m.right) : 0);
    }
    store(c.result, data.at(c.result.id), c.result.offset(at), between.at(c.result.id));
  } while (advance(at, c.y.dims));
}

}  // namespace tw_emulator::cudnn
