// CUDA's built-in names for the host compiler: what NVRTC predefines and our kernels use. Put in front of every kernel
// text, after interface.h.
#pragma once
// No headers: they would take most of the compile time, and give kernels names that NVRTC does not have.

#define TW_DEVICE inline __attribute__((always_inline))
#define __device__
#define __host__
#define __global__ __attribute__((visibility("hidden")))
#define __shared__ static
#define __constant__ const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __CUDACC__ 1

#define threadIdx (tw_emulator_self->thread_index)
#define blockIdx (tw_emulator_self->block_index)
#define blockDim (tw_emulator_self->block_dim)
#define gridDim (tw_emulator_self->grid_dim)
constexpr int warpSize = 32;

#define TW_BUILTIN inline __attribute__((always_inline))

// The C library, for floats by both of their names.
using size_t = decltype(sizeof(0));
extern "C" {
void* memcpy(void*, const void*, size_t);
void* memmove(void*, const void*, size_t);
void* memset(void*, int, size_t);
int printf(const char*, ...);
int abs(int);
long labs(long);
}
#define TW_C1(name)                          \
  extern "C" float name##f(float);           \
  extern "C" double name(double);            \
  TW_BUILTIN float name(float x) { return name##f(x); }
#define TW_C2(name)                          \
  extern "C" float name##f(float, float);    \
  extern "C" double name(double, double);    \
  TW_BUILTIN float name(float x, float y) { return name##f(x, y); }
TW_C1(acos) TW_C1(acosh) TW_C1(asin) TW_C1(asinh) TW_C1(atan) TW_C1(atanh) TW_C1(cbrt) TW_C1(ceil) TW_C1(cos)
TW_C1(cosh) TW_C1(erf) TW_C1(erfc) TW_C1(exp) TW_C1(exp2) TW_C1(expm1) TW_C1(fabs) TW_C1(floor) TW_C1(lgamma)
TW_C1(log) TW_C1(log10) TW_C1(log1p) TW_C1(log2) TW_C1(logb) TW_C1(nearbyint) TW_C1(rint) TW_C1(round) TW_C1(sin)
TW_C1(sinh) TW_C1(sqrt) TW_C1(tan) TW_C1(tanh) TW_C1(tgamma) TW_C1(trunc)
TW_C2(atan2) TW_C2(copysign) TW_C2(fdim) TW_C2(fmax) TW_C2(fmin) TW_C2(fmod) TW_C2(hypot) TW_C2(nextafter) TW_C2(pow)
TW_C2(remainder)
#undef TW_C1
#undef TW_C2
extern "C" {
float fmaf(float, float, float);
double fma(double, double, double);
float ldexpf(float, int);
double ldexp(double, int);
float frexpf(float, int*);
float modff(float, float*);
long lrintf(float);
long lroundf(float);
long long llrintf(float);
long long llroundf(float);
long long llrint(double);
float nanf(const char*);
}
TW_BUILTIN float fma(float a, float b, float c) { return fmaf(a, b, c); }
TW_BUILTIN float ldexp(float x, int e) { return ldexpf(x, e); }
TW_BUILTIN float abs(float x) { return fabsf(x); }
TW_BUILTIN double abs(double x) { return fabs(x); }
TW_BUILTIN long abs(long x) { return x < 0 ? -x : x; }
TW_BUILTIN long long abs(long long x) { return x < 0 ? -x : x; }
TW_BUILTIN float exp10f(float x) { return powf(10.0f, x); }
#define TW_CLASSIFY(name)                                             \
  TW_BUILTIN bool name(float x) { return __builtin_##name(x) != 0; } \
  TW_BUILTIN bool name(double x) { return __builtin_##name(x) != 0; }
TW_CLASSIFY(isnan) TW_CLASSIFY(isinf) TW_CLASSIFY(isfinite) TW_CLASSIFY(signbit)
#undef TW_CLASSIFY

TW_BUILTIN void tw_emulator_check_aligned(const void* pointer, unsigned long alignment) {
  if (reinterpret_cast<unsigned long>(pointer) % alignment) tw_emulator_fail("misaligned vector access");
}

// Vector types, for texts that use them.
struct __align__(8) int2 { int x, y; };
struct __align__(16) int4 { int x, y, z, w; };
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
TW_BUILTIN int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
TW_BUILTIN uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
TW_BUILTIN float2 make_float2(float x, float y) { return {x, y}; }
TW_BUILTIN float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// Barriers and fences.
TW_BUILTIN int tw_emulator_block_threads() { return static_cast<int>(blockDim.x * blockDim.y * blockDim.z); }
TW_BUILTIN void __syncthreads() { tw_emulator_barrier_sync(0, tw_emulator_block_threads()); }
TW_BUILTIN int __syncthreads_count(int p) { return tw_emulator_barrier_count(p); }
TW_BUILTIN int __syncthreads_or(int p) { return tw_emulator_barrier_count(p) != 0; }
TW_BUILTIN int __syncthreads_and(int p) { return tw_emulator_barrier_count(p) == tw_emulator_block_threads(); }
inline void tw_emulator_nothing(void**, unsigned) {}
TW_BUILTIN void __syncwarp(unsigned mask = 0xFFFFFFFFu) { tw_emulator_meet(mask, tw_emulator_nothing, nullptr); }
TW_BUILTIN void __threadfence() {}
TW_BUILTIN void __threadfence_block() {}
TW_BUILTIN void __threadfence_system() {}
TW_BUILTIN void __nanosleep(unsigned) { tw_emulator_yield(); }
[[noreturn]] TW_BUILTIN void __trap() { tw_emulator_fail("__trap()"); }
TW_BUILTIN unsigned __activemask() { return tw_emulator_active_mask(); }

// Warp exchange.
template <typename T>
TW_BUILTIN T tw_emulator_shuffle_any(unsigned mask, T value, int operand, int width, int mode) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  unsigned words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
  for (unsigned& word : words) word = tw_emulator_shuffle(mask, word, operand, width, mode);
  memcpy(&value, words, sizeof(T));
  return value;
}
template <typename T>
TW_BUILTIN T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return tw_emulator_shuffle_any(mask, value, lane, width, 0);
}
template <typename T>
TW_BUILTIN T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  return tw_emulator_shuffle_any(mask, value, static_cast<int>(distance), width, 1);
}
template <typename T>
TW_BUILTIN T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32) {
  return tw_emulator_shuffle_any(mask, value, static_cast<int>(distance), width, 2);
}
template <typename T>
TW_BUILTIN T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  return tw_emulator_shuffle_any(mask, value, lane_mask, width, 3);
}
TW_BUILTIN unsigned __ballot_sync(unsigned mask, int p) { return tw_emulator_ballot(mask, p); }
TW_BUILTIN int __any_sync(unsigned mask, int p) { return tw_emulator_ballot(mask, p) != 0; }
TW_BUILTIN int __all_sync(unsigned mask, int p) { return tw_emulator_ballot(mask, !p) == 0; }
template <typename T>
TW_BUILTIN unsigned __match_any_sync(unsigned mask, T value) {
  unsigned long long bits = 0;
  memcpy(&bits, &value, sizeof(T));
  return tw_emulator_match_any(mask, bits);
}
template <typename T>
TW_BUILTIN T __reduce_add_sync(unsigned mask, T value) {
  T sum = 0;
  for (int lane = 0; lane < 32; ++lane) {
    const T other = __shfl_sync(mask, value, lane);
    if (mask >> lane & 1) sum += other;
  }
  return sum;
}

// Bits.
TW_BUILTIN int __popc(unsigned x) { return __builtin_popcount(x); }
TW_BUILTIN int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
TW_BUILTIN int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
TW_BUILTIN int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
TW_BUILTIN int __ffs(int x) { return __builtin_ffs(x); }
TW_BUILTIN int __ffsll(long long x) { return __builtin_ffsll(x); }
TW_BUILTIN unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (x >> i & 1u) << (31 - i);
  return r;
}
TW_BUILTIN unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const unsigned long long bytes = a | static_cast<unsigned long long>(b) << 32;
  unsigned r = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned s = selector >> (4 * i) & 15u;
    unsigned byte = static_cast<unsigned>(bytes >> (8 * (s & 7u))) & 255u;
    if (s & 8u) byte = byte & 128u ? 255u : 0u;
    r |= byte << (8 * i);
  }
  return r;
}
TW_BUILTIN unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<unsigned long long>(high) << 32 | low) << (shift & 31u)) >> 32);
}
TW_BUILTIN unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<unsigned long long>(high) << 32 | low) >> (shift & 31u));
}
template <typename To, typename From>
TW_BUILTIN To tw_emulator_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}
TW_BUILTIN int __float_as_int(float x) { return tw_emulator_bits<int>(x); }
TW_BUILTIN unsigned __float_as_uint(float x) { return tw_emulator_bits<unsigned>(x); }
TW_BUILTIN float __int_as_float(int x) { return tw_emulator_bits<float>(x); }
TW_BUILTIN float __uint_as_float(unsigned x) { return tw_emulator_bits<float>(x); }
TW_BUILTIN long long __double_as_longlong(double x) { return tw_emulator_bits<long long>(x); }
TW_BUILTIN double __longlong_as_double(long long x) { return tw_emulator_bits<double>(x); }

// Integer arithmetic.
TW_BUILTIN unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}
TW_BUILTIN int __mulhi(int a, int b) { return static_cast<int>(static_cast<long long>(a) * b >> 32); }
TW_BUILTIN unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
TW_BUILTIN long long __mul64hi(long long a, long long b) {
  return static_cast<long long>(static_cast<__int128>(a) * b >> 64);
}
TW_BUILTIN int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; ++i) c += static_cast<signed char>(a >> (8 * i)) * static_cast<signed char>(b >> (8 * i));
  return c;
}
#define TW_MIN_MAX(T)                                  \
  TW_BUILTIN T min(T a, T b) { return b < a ? b : a; } \
  TW_BUILTIN T max(T a, T b) { return a < b ? b : a; }
TW_MIN_MAX(int)
TW_MIN_MAX(unsigned)
TW_MIN_MAX(long)
TW_MIN_MAX(unsigned long)
TW_MIN_MAX(long long)
TW_MIN_MAX(unsigned long long)
#undef TW_MIN_MAX
TW_BUILTIN unsigned min(int a, unsigned b) { return min(static_cast<unsigned>(a), b); }
TW_BUILTIN unsigned min(unsigned a, int b) { return min(a, static_cast<unsigned>(b)); }
TW_BUILTIN unsigned max(int a, unsigned b) { return max(static_cast<unsigned>(a), b); }
TW_BUILTIN unsigned max(unsigned a, int b) { return max(a, static_cast<unsigned>(b)); }
TW_BUILTIN float min(float a, float b) { return fminf(a, b); }
TW_BUILTIN float max(float a, float b) { return fmaxf(a, b); }
TW_BUILTIN double min(double a, double b) { return fmin(a, b); }
TW_BUILTIN double max(double a, double b) { return fmax(a, b); }

// Floating point. Approximations are as accurate as the host's functions.
TW_BUILTIN float rsqrtf(float x) { return 1.0f / sqrtf(x); }
TW_BUILTIN double rsqrt(double x) { return 1.0 / sqrt(x); }
TW_BUILTIN float __expf(float x) { return expf(x); }
TW_BUILTIN float __logf(float x) { return logf(x); }
TW_BUILTIN float __log2f(float x) { return log2f(x); }
TW_BUILTIN float __sinf(float x) { return sinf(x); }
TW_BUILTIN float __cosf(float x) { return cosf(x); }
TW_BUILTIN float __powf(float x, float y) { return powf(x, y); }
TW_BUILTIN float __fdividef(float a, float b) { return a / b; }
TW_BUILTIN float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
TW_BUILTIN float __fadd_rn(float a, float b) { return a + b; }
TW_BUILTIN float __fsub_rn(float a, float b) { return a - b; }
TW_BUILTIN float __fmul_rn(float a, float b) { return a * b; }
TW_BUILTIN float __fdiv_rn(float a, float b) { return a / b; }
TW_BUILTIN float __frcp_rn(float x) { return 1.0f / x; }
TW_BUILTIN float __fsqrt_rn(float x) { return sqrtf(x); }
TW_BUILTIN float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
TW_BUILTIN double __dadd_rn(double a, double b) { return a + b; }
TW_BUILTIN double __dmul_rn(double a, double b) { return a * b; }
TW_BUILTIN double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
TW_BUILTIN int __float2int_rn(float x) { return static_cast<int>(rintf(x)); }
TW_BUILTIN unsigned __float2uint_rn(float x) { return static_cast<unsigned>(llrintf(x)); }
TW_BUILTIN long long __float2ll_rn(float x) { return llrintf(x); }
TW_BUILTIN int __double2int_rn(double x) { return static_cast<int>(llrint(x)); }
TW_BUILTIN int __float2int_ru(float x) { return static_cast<int>(ceilf(x)); }
TW_BUILTIN int __float2int_rz(float x) { return static_cast<int>(x); }
TW_BUILTIN int __float2int_rd(float x) { return static_cast<int>(floorf(x)); }
TW_BUILTIN float __int2float_rn(int x) { return static_cast<float>(x); }
TW_BUILTIN float __double2float_rn(double x) { return static_cast<float>(x); }
TW_BUILTIN float __double2float_rz(double x) {
  const float nearest = static_cast<float>(x);
  const bool outside = fabs(static_cast<double>(nearest)) > fabs(x) && !isinf(x);
  return outside ? __uint_as_float(__float_as_uint(nearest) - 1u) : nearest;
}
TW_BUILTIN float normcdff(float x) { return 0.5f * erfcf(-0.70710678118654752f * x); }

// Memory.
template <typename T>
TW_BUILTIN T __ldg(const T* p) { return *p; }
template <typename T>
TW_BUILTIN T __ldcs(const T* p) { return *p; }
template <typename T>
TW_BUILTIN T __ldcg(const T* p) { return *p; }
template <typename T>
TW_BUILTIN void __stcs(T* p, T value) { *p = value; }
TW_BUILTIN unsigned long long __cvta_generic_to_shared(const void* p) { return tw_emulator_shared_address(p); }
TW_BUILTIN long long clock64() { return 0; }

// Atomics: the emulator's threads only change places where one waits, so plain memory accesses do.
template <typename T>
struct tw_emulator_same { using type = T; };
#define TW_ATOMIC(name, result)                                                     \
  template <typename T>                                                             \
  TW_BUILTIN T name(T* p, typename tw_emulator_same<T>::type value) {               \
    const T old = *p;                                                               \
    *p = static_cast<T>(result);                                                    \
    return old;                                                                     \
  }
TW_ATOMIC(atomicAdd, old + value)
TW_ATOMIC(atomicSub, old - value)
TW_ATOMIC(atomicExch, value)
TW_ATOMIC(atomicMin, value < old ? value : old)
TW_ATOMIC(atomicMax, value > old ? value : old)
TW_ATOMIC(atomicAnd, old & value)
TW_ATOMIC(atomicOr, old | value)
TW_ATOMIC(atomicXor, old ^ value)
TW_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
#undef TW_ATOMIC
template <typename T>
TW_BUILTIN T atomicCAS(T* p, typename tw_emulator_same<T>::type expected, typename tw_emulator_same<T>::type value) {
  const T old = *p;
  if (old == expected) *p = value;
  return old;
}

// How the runtime calls a kernel whose parameter types only its own file knows.
template <unsigned... Index>
struct tw_emulator_indices {};
template <unsigned Count, unsigned... Index>
struct tw_emulator_count_up : tw_emulator_count_up<Count - 1, Count - 1, Index...> {};
template <unsigned... Index>
struct tw_emulator_count_up<0, Index...> { using type = tw_emulator_indices<Index...>; };
template <typename... Parameters, unsigned... Index>
void tw_emulator_call_with(void (*kernel)(Parameters...), void** parameters, tw_emulator_indices<Index...>) {
  kernel(*static_cast<Parameters*>(parameters[Index])...);
}
template <typename... Parameters>
void tw_emulator_call(void (*kernel)(Parameters...), void** parameters) {
  tw_emulator_call_with(kernel, parameters, typename tw_emulator_count_up<sizeof...(Parameters)>::type{});
}
template <typename... Parameters>
constexpr unsigned tw_emulator_parameter_count(void (*)(Parameters...)) { return sizeof...(Parameters); }
template <typename... Parameters>
struct tw_emulator_sizes {
  static constexpr unsigned values[] = {static_cast<unsigned>(sizeof(Parameters))..., 0};
};
template <typename... Parameters>
constexpr const unsigned* tw_emulator_parameter_sizes(void (*)(Parameters...)) {
  return tw_emulator_sizes<Parameters...>::values;
}
#define TW_EMULATOR_KERNEL(name, max_threads)                                                                       \
  extern "C" __attribute__((visibility("default"))) const tw_emulator_kernel tw_emulator_kernel_##name = {          \
      [](void** parameters) { tw_emulator_call(&name, parameters); }, tw_emulator_parameter_count(&name),           \
      tw_emulator_parameter_sizes(&name), max_threads};
// The linker places every `__shared__` array in .bss, and nothing else.
extern "C" __attribute__((visibility("hidden"))) char __bss_start[], _end[];
#define TW_EMULATOR_MODULE(architecture)                                                                     \
  extern "C" __attribute__((visibility("default"))) const tw_emulator_module_info tw_emulator_module = { \
      TW_EMULATOR_INTERFACE, architecture, __bss_start, _end};

// NVRTC has none of the host compiler's.
#pragma GCC poison __builtin_memcpy __builtin_memset __builtin_inff __builtin_inf __builtin_nanf __builtin_nan
#pragma GCC poison __builtin_huge_valf __builtin_huge_val __builtin_popcount __builtin_clz __builtin_ctz __builtin_bit_cast
