// Elementary functions on vectors, to about one unit in the last place. Only *.simd.cpp files include this.
#pragma once
#include "kernels/simd/vector.h"

namespace tw::TW_ISA_NAMESPACE {

// e^x; 0 for minus infinity, infinity above 88.7, NaN stays NaN. Cody-Waite reduction, Cephes' polynomial.
TW_SIMD_INLINE F32 exp(F32 x) {
  x = max(F32::set(-104.0f), x);
  x = min(F32::set(89.0f), x);
  const F32 n = round(x * F32::set(1.44269504088896341f));
  F32 r = fma(n, F32::set(-0.693359375f), x);
  r = fma(n, F32::set(2.12194440e-4f), r);
  F32 p = F32::set(1.9875691500e-4f);
  p = fma(p, r, F32::set(1.3981999507e-3f));
  p = fma(p, r, F32::set(8.3334519073e-3f));
  p = fma(p, r, F32::set(4.1665795894e-2f));
  p = fma(p, r, F32::set(1.6666665459e-1f));
  p = fma(p, r, F32::set(5.0000001201e-1f));
  p = fma(p, r * r, r + F32::set(1.0f));
  return scale_by_power(p, n);
}

TW_SIMD_INLINE F32 sigmoid(F32 x) { return F32::set(1.0f) / (F32::set(1.0f) + exp(F32::set(0.0f) - x)); }

// The rational minimax approximation on [-7.9, 7.9], beyond which float tanh is 1.
TW_SIMD_INLINE F32 tanh(F32 x) {
  x = max(F32::set(-7.90531110763549805f), x);
  x = min(F32::set(7.90531110763549805f), x);
  const F32 s = x * x;
  F32 p = F32::set(-2.76076847742355e-16f);
  p = fma(p, s, F32::set(2.00018790482477e-13f));
  p = fma(p, s, F32::set(-8.60467152213735e-11f));
  p = fma(p, s, F32::set(5.12229709037114e-08f));
  p = fma(p, s, F32::set(1.48572235717979e-05f));
  p = fma(p, s, F32::set(6.37261928875436e-04f));
  p = fma(p, s, F32::set(4.89352455891786e-03f));
  F32 q = F32::set(1.19825839466702e-06f);
  q = fma(q, s, F32::set(1.18534705686654e-04f));
  q = fma(q, s, F32::set(2.26843463243900e-03f));
  q = fma(q, s, F32::set(4.89352518554385e-03f));
  return x * p / q;
}

// A rational minimax approximation on [-4, 4], within 4e-7; beyond, erf is 1 to that accuracy.
TW_SIMD_INLINE F32 erf(F32 x) {
  x = max(F32::set(-4.0f), x);
  x = min(F32::set(4.0f), x);
  const F32 s = x * x;
  F32 p = F32::set(-2.72614225801306e-10f);
  p = fma(p, s, F32::set(2.77068142495902e-08f));
  p = fma(p, s, F32::set(-2.10102402082508e-06f));
  p = fma(p, s, F32::set(-5.69250639462346e-05f));
  p = fma(p, s, F32::set(-7.34990630326855e-04f));
  p = fma(p, s, F32::set(-2.95459980854025e-03f));
  p = fma(p, s, F32::set(-1.60960333262415e-02f));
  F32 q = F32::set(-1.45660718464996e-05f);
  q = fma(q, s, F32::set(-2.13374055278905e-04f));
  q = fma(q, s, F32::set(-1.68282697438203e-03f));
  q = fma(q, s, F32::set(-7.37332916720468e-03f));
  q = fma(q, s, F32::set(-1.42647390514189e-02f));
  return x * p / q;
}

}  // namespace tw::TW_ISA_NAMESPACE
