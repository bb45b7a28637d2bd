// Activations of vectors in registers. Only *.simd.cpp files include this.
#pragma once
#include "kernels/contraction/activation.h"
#include "kernels/simd/math.h"

namespace tw::TW_ISA_NAMESPACE {

// Replaces every x[i] by f(x[i]); unrolled, so that the vectors stay in registers.
template <int N, typename F>
TW_SIMD_INLINE void each(F32 (&x)[N], F f) {
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) x[i] = f(x[i]);
}

template <int N>
TW_SIMD_INLINE void activate(Activation activation, const ActivationNumbers& numbers, F32 (&x)[N]) {
  const F32 scale = F32::set(numbers.scale), shift = F32::set(numbers.shift);
  const auto clipped = [low = F32::set(numbers.low), high = F32::set(numbers.high)](F32 v) {
    return min(high, max(low, v));
  };
  switch (activation) {
    case Activation::kNone:
      return;
    case Activation::kSigmoid:
      return each(x, [](F32 v) { return sigmoid(v); });
    case Activation::kSwish:
      return each(x, [](F32 v) { return v * sigmoid(v); });
    case Activation::kHardSigmoid:
      return each(x, [&](F32 v) { return clipped(fma(v, scale, shift)); });
    case Activation::kHardSwish:
      return each(x, [&](F32 v) { return v * clipped(fma(v, scale, shift)); });
    case Activation::kGelu:
      return each(x, [&](F32 v) {
        const F32 half = F32::set(0.5f) * v;
        return fma(half, erf(v * scale), half);
      });
  }
}

}  // namespace tw::TW_ISA_NAMESPACE
