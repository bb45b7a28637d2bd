// Block loops of the elementary functions.
#include "tape/block_ops.h"
#include "tape/math.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

using namespace tape_math;

template <typename F, typename T>
void unary(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  T* d = static_cast<T*>(dst);
  const T* x = static_cast<const T*>(a);
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = F::f(x[i]);
}

// Vectorised for ordinary arguments; the rare huge ones afterwards by the C library, which is exact for them. In-place
// is allowed, so the huge ones are found before they are overwritten.
template <typename F>
void trigonometric(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  float* d = static_cast<float*>(dst);
  const float* x = static_cast<const float*>(a);
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = magnitude(x[i]) < kTrigLimit ? largest : kTrigLimit;
  if (largest == 0) {
    TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = F::f(x[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) d[i] = magnitude(x[i]) < kTrigLimit ? F::f(x[i]) : F::library(x[i]);
  }
}

#define TW_FUNCTION(Name, function)                      \
  struct Name {                                          \
    TW_INLINE float f(float x) { return function(x); }   \
    TW_INLINE double f(double x) { return function(x); } \
  };
TW_FUNCTION(Exp, tape_math::exp)
TW_FUNCTION(Log, tape_math::log)
TW_FUNCTION(Tanh, tape_math::tanh)
TW_FUNCTION(Erf, tape_math::erf)
TW_FUNCTION(Sigmoid, tape_math::sigmoid)
struct Swish {
  TW_INLINE float f(float x) { return x * tape_math::sigmoid(x); }
};

// As min and max of the tape: NaN stays.
TW_INLINE float clipped(float x, const float* numbers) {
  const float y = x * numbers[0] + numbers[1];
  const float below = numbers[3] < y ? numbers[3] : y;
  return numbers[2] > below ? numbers[2] : below;
}
template <bool Gated>
void clip(int64_t n, void* dst, const void* a, const void* b, const void*, int64_t) {
  float* d = static_cast<float*>(dst);
  const float* x = static_cast<const float*>(a);
  const float* given = static_cast<const float*>(b);
  const float numbers[4] = {given[0], given[1], given[2], given[3]};
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = Gated ? x[i] * clipped(x[i], numbers) : clipped(x[i], numbers);
}

void gelu(int64_t n, void* dst, const void* a, const void* b, const void*, int64_t) {
  float* d = static_cast<float*>(dst);
  const float* x = static_cast<const float*>(a);
  const float scale = static_cast<const float*>(b)[0];
  const auto of = [](float v, float argument) { return v * (tape_math::erf(argument) + 1.0f) * 0.5f; };
  if (static_cast<const float*>(b)[1] != 0.0f) {
    TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = of(x[i], x[i] / scale);
  } else {
    TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = of(x[i], x[i] * scale);
  }
}

#define TW_TRIGONOMETRIC(Name, small, wide)                 \
  struct Name {                                             \
    TW_INLINE float f(float x) { return small(x); }         \
    TW_INLINE double f(double x) { return wide(x); }        \
    TW_INLINE float library(float x) { return wide##f(x); } \
  };
TW_TRIGONOMETRIC(Sin, sin_small, ::sin)
TW_TRIGONOMETRIC(Cos, cos_small, ::cos)
TW_TRIGONOMETRIC(Tan, tan_small, ::tan)

#define TW_LIBRARY(Name, function)                        \
  struct Name {                                           \
    TW_INLINE float f(float x) { return function##f(x); } \
    TW_INLINE double f(double x) { return function(x); }  \
  };
TW_LIBRARY(Asin, ::asin)
TW_LIBRARY(Acos, ::acos)
TW_LIBRARY(Atan, ::atan)
TW_LIBRARY(Sinh, ::sinh)
TW_LIBRARY(Cosh, ::cosh)
TW_LIBRARY(Asinh, ::asinh)
TW_LIBRARY(Acosh, ::acosh)
TW_LIBRARY(Atanh, ::atanh)

template <typename F>
void add(BlockOps& ops, Op op) {
  ops.unary[static_cast<int>(op)][static_cast<int>(ValueType::kF32)] = unary<F, float>;
  ops.unary[static_cast<int>(op)][static_cast<int>(ValueType::kF64)] = unary<F, double>;
}
template <typename F>
void add_trigonometric(BlockOps& ops, Op op) {
  add<F>(ops, op);
  ops.unary[static_cast<int>(op)][static_cast<int>(ValueType::kF32)] = trigonometric<F>;
}

}  // namespace

void add_math(BlockOps& ops) {
  add<Exp>(ops, Op::kExp);
  add<Log>(ops, Op::kLog);
  add<Tanh>(ops, Op::kTanh);
  add<Erf>(ops, Op::kErf);
  add<Sigmoid>(ops, Op::kSigmoid);
  const auto f32 = static_cast<int>(ValueType::kF32);
  ops.unary[static_cast<int>(Op::kSwish)][f32] = unary<Swish, float>;
  ops.unary[static_cast<int>(Op::kClipped)][f32] = clip<false>;
  ops.unary[static_cast<int>(Op::kGatedClip)][f32] = clip<true>;
  ops.unary[static_cast<int>(Op::kGelu)][f32] = gelu;
  add_trigonometric<Sin>(ops, Op::kSin);
  add_trigonometric<Cos>(ops, Op::kCos);
  add_trigonometric<Tan>(ops, Op::kTan);
  add<Asin>(ops, Op::kAsin);
  add<Acos>(ops, Op::kAcos);
  add<Atan>(ops, Op::kAtan);
  add<Sinh>(ops, Op::kSinh);
  add<Cosh>(ops, Op::kCosh);
  add<Asinh>(ops, Op::kAsinh);
  add<Acosh>(ops, Op::kAcosh);
  add<Atanh>(ops, Op::kAtanh);
}

const BlockOps& block_ops() {
  static const BlockOps table = [] {
    BlockOps ops{};
    add_arithmetic(ops);
    add_math(ops);
    add_memory(ops);
    return ops;
  }();
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
