// Block loops of the arithmetic, logical and comparing operations.
#include <math.h>

#include "tape/block_ops.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

// Signed overflow wraps: the same bits as unsigned arithmetic.
TW_INLINE uint64_t bits(int64_t x) { return static_cast<uint64_t>(x); }
TW_INLINE int64_t wrapped(uint64_t x) { return static_cast<int64_t>(x); }

#define TW_UNARY(Name, FloatExpression, SignedExpression, UnsignedExpression) \
  struct Name {                                                               \
    TW_INLINE float f(float a) { return FloatExpression; }                    \
    TW_INLINE double f(double a) { return FloatExpression; }                  \
    TW_INLINE int64_t f(int64_t a) { return SignedExpression; }               \
    TW_INLINE uint64_t f(uint64_t a) { return UnsignedExpression; }           \
  };

TW_INLINE float floor_of(float a) { return ::floorf(a); }
TW_INLINE double floor_of(double a) { return ::floor(a); }
TW_INLINE float ceil_of(float a) { return ::ceilf(a); }
TW_INLINE double ceil_of(double a) { return ::ceil(a); }
TW_INLINE float round_of(float a) { return ::rintf(a); }
TW_INLINE double round_of(double a) { return ::rint(a); }
TW_INLINE float trunc_of(float a) { return ::truncf(a); }
TW_INLINE double trunc_of(double a) { return ::trunc(a); }
TW_INLINE float sqrt_of(float a) { return ::sqrtf(a); }
TW_INLINE double sqrt_of(double a) { return ::sqrt(a); }
TW_INLINE float abs_of(float a) { return ::fabsf(a); }
TW_INLINE double abs_of(double a) { return ::fabs(a); }
template <typename T>
TW_INLINE T sign_of(T a) {
  const T sign = a > T(0) ? T(1) : a < T(0) ? T(-1) : T(0);
  return a != a ? a : sign;
}

TW_UNARY(Neg, -a, wrapped(0 - bits(a)), 0 - a)
TW_UNARY(Abs, abs_of(a), a < 0 ? wrapped(0 - bits(a)) : a, a)
TW_UNARY(Sign, sign_of(a), (a > 0) - (a < 0), a != 0)
TW_UNARY(Floor, floor_of(a), a, a)
TW_UNARY(Ceil, ceil_of(a), a, a)
TW_UNARY(Round, round_of(a), a, a)
TW_UNARY(Trunc, trunc_of(a), a, a)
struct BitNot {
  template <typename T>
  TW_INLINE T f(T a) {
    return ~a;
  }
};
struct Sqrt {
  template <typename T>
  TW_INLINE T f(T a) {
    return sqrt_of(a);
  }
};
struct Rsqrt {
  template <typename T>
  TW_INLINE T f(T a) {
    return T(1) / sqrt_of(a);
  }
};
struct Reciprocal {
  template <typename T>
  TW_INLINE T f(T a) {
    return T(1) / a;
  }
};
struct IsNan {
  template <typename T>
  TW_INLINE uint32_t f(T a) {
    return a != a;
  }
};
struct IsPosInf {
  template <typename T>
  TW_INLINE uint32_t f(T a) {
    return a == static_cast<T>(__builtin_inf());
  }
};
struct IsNegInf {
  template <typename T>
  TW_INLINE uint32_t f(T a) {
    return a == static_cast<T>(-__builtin_inf());
  }
};
struct Not {
  TW_INLINE uint32_t f(uint32_t a) { return a ^ 1; }
};

#define TW_BINARY(Name, FloatExpression, SignedExpression, UnsignedExpression)  \
  struct Name {                                                                 \
    TW_INLINE float f(float a, float b) { return FloatExpression; }             \
    TW_INLINE double f(double a, double b) { return FloatExpression; }          \
    TW_INLINE int64_t f(int64_t a, int64_t b) { return SignedExpression; }      \
    TW_INLINE uint64_t f(uint64_t a, uint64_t b) { return UnsignedExpression; } \
  };

TW_INLINE float fmod_of(float a, float b) { return ::fmodf(a, b); }
TW_INLINE double fmod_of(double a, double b) { return ::fmod(a, b); }
template <typename T>
TW_INLINE T python_mod(T a, T b) {
  const T r = fmod_of(a, b);
  if (r == T(0)) return b < T(0) ? -abs_of(r) : abs_of(r);
  return (r < T(0)) != (b < T(0)) ? r + b : r;
}
TW_INLINE int64_t divide(int64_t a, int64_t b) { return b == 0 ? 0 : b == -1 ? wrapped(0 - bits(a)) : a / b; }
TW_INLINE int64_t remainder(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }
TW_INLINE int64_t python_mod(int64_t a, int64_t b) {
  const int64_t r = remainder(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
template <typename T>
TW_INLINE T smaller(T a, T b) {
  return a < b || a != a ? a : b;
}
template <typename T>
TW_INLINE T larger(T a, T b) {
  return a > b || a != a ? a : b;
}
TW_INLINE int64_t shift_left(int64_t a, int64_t b) { return bits(b) > 63 ? 0 : wrapped(bits(a) << b); }
TW_INLINE uint64_t shift_left(uint64_t a, uint64_t b) { return b > 63 ? 0 : a << b; }
TW_INLINE int64_t shift_right(int64_t a, int64_t b) { return a >> (bits(b) > 63 ? 63 : b); }
TW_INLINE uint64_t shift_right(uint64_t a, uint64_t b) { return b > 63 ? 0 : a >> b; }
TW_INLINE uint64_t power(uint64_t a, uint64_t n) {
  uint64_t result = 1;
  for (; n; n >>= 1, a *= a)
    if (n & 1) result *= a;
  return result;
}
// Negative exponents: the reciprocal, truncated.
TW_INLINE int64_t power(int64_t a, int64_t n) {
  if (n < 0) return a == 1 ? 1 : a == -1 ? (n & 1 ? -1 : 1) : 0;
  return wrapped(power(bits(a), bits(n)));
}
TW_INLINE float power(float a, float b) { return ::powf(a, b); }
TW_INLINE double power(double a, double b) { return ::pow(a, b); }

TW_BINARY(Add, a + b, wrapped(bits(a) + bits(b)), a + b)
TW_BINARY(Sub, a - b, wrapped(bits(a) - bits(b)), a - b)
TW_BINARY(Mul, a* b, wrapped(bits(a) * bits(b)), a* b)
TW_BINARY(Div, a / b, divide(a, b), b == 0 ? 0 : a / b)
TW_BINARY(Mod, python_mod(a, b), python_mod(a, b), b == 0 ? 0 : a % b)
TW_BINARY(Fmod, fmod_of(a, b), remainder(a, b), b == 0 ? 0 : a % b)
TW_BINARY(Pow, power(a, b), power(a, b), power(a, b))
TW_BINARY(Min, smaller(a, b), a < b ? a : b, a < b ? a : b)
TW_BINARY(Max, larger(a, b), a > b ? a : b, a > b ? a : b)
#define TW_BINARY_INTEGER(Name, Expression) \
  struct Name {                             \
    template <typename T>                   \
    TW_INLINE T f(T a, T b) {               \
      return Expression;                    \
    }                                       \
  };
TW_BINARY_INTEGER(BitAnd, a& b)
TW_BINARY_INTEGER(BitOr, a | b)
TW_BINARY_INTEGER(BitXor, a ^ b)
TW_BINARY_INTEGER(Shl, shift_left(a, b))
TW_BINARY_INTEGER(Shr, shift_right(a, b))
#define TW_COMPARISON(Name, Operator) \
  struct Name {                       \
    template <typename T>             \
    TW_INLINE uint32_t f(T a, T b) {  \
      return a Operator b;            \
    }                                 \
  };
TW_COMPARISON(Eq, ==)
TW_COMPARISON(Ne, !=)
TW_COMPARISON(Lt, <)
TW_COMPARISON(Le, <=)
TW_COMPARISON(And, &)
TW_COMPARISON(Or, |)
TW_COMPARISON(Xor, ^)

template <typename F, typename T, typename R>
void unary(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  R* d = static_cast<R*>(dst);
  const T* x = static_cast<const T*>(a);
  TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = F::f(x[i]);
}

template <typename F, typename T, typename R, int Mode>
void binary(int64_t n, void* dst, const void* a, const void* b, const void*, int64_t) {
  R* d = static_cast<R*>(dst);
  const T* x = static_cast<const T*>(a);
  const T* y = static_cast<const T*>(b);
  if constexpr (Mode == 0) {
    TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = F::f(x[i], y[i]);
  } else if constexpr (Mode == 1) {
    const T s = *y;
    TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = F::f(x[i], s);
  } else {
    const T s = *x;
    TW_IVDEP for (int64_t i = 0; i < n; ++i) d[i] = F::f(s, y[i]);
  }
}

template <typename T, int Mode>
void select(int64_t n, void* dst, const void* a, const void* b, const void* c, int64_t) {
  T* d = static_cast<T*>(dst);
  const uint32_t* m = static_cast<const uint32_t*>(a);
  const T* x = static_cast<const T*>(b);
  const T* y = static_cast<const T*>(c);
  const T xs = *x, ys = *y;
  TW_IVDEP for (int64_t i = 0; i < n; ++i) {
    const T yes = Mode & 1 ? xs : x[i], no = Mode & 2 ? ys : y[i];
    d[i] = m[i] ? yes : no;
  }
}

template <typename T>
void fill(int64_t n, void* dst, const void* a, const void*, const void*, int64_t) {
  T* d = static_cast<T*>(dst);
  const T s = *static_cast<const T*>(a);
  for (int64_t i = 0; i < n; ++i) d[i] = s;
}

constexpr int at(Op op) { return static_cast<int>(op); }
constexpr int at(ValueType t) { return static_cast<int>(t); }

template <typename F, typename T>
void add_unary(BlockOps& ops, Op op, ValueType t) {
  ops.unary[at(op)][at(t)] = unary<F, T, T>;
}
template <typename F>
void add_unary_floats(BlockOps& ops, Op op) {
  add_unary<F, float>(ops, op, ValueType::kF32);
  add_unary<F, double>(ops, op, ValueType::kF64);
}
template <typename F>
void add_unary_integers(BlockOps& ops, Op op) {
  add_unary<F, int64_t>(ops, op, ValueType::kI64);
  add_unary<F, uint64_t>(ops, op, ValueType::kU64);
}
template <typename F>
void add_unary_all(BlockOps& ops, Op op) {
  add_unary_floats<F>(ops, op), add_unary_integers<F>(ops, op);
}
template <typename F>
void add_predicate(BlockOps& ops, Op op) {
  ops.unary[at(op)][at(ValueType::kF32)] = unary<F, float, uint32_t>;
  ops.unary[at(op)][at(ValueType::kF64)] = unary<F, double, uint32_t>;
}

template <typename F, typename T, typename R>
void add_binary(BlockOps& ops, Op op, ValueType t) {
  BlockFn* modes = ops.binary[at(op)][at(t)];
  modes[0] = binary<F, T, R, 0>, modes[1] = binary<F, T, R, 1>, modes[2] = binary<F, T, R, 2>;
}
template <typename F>
void add_binary_integers(BlockOps& ops, Op op) {
  add_binary<F, int64_t, int64_t>(ops, op, ValueType::kI64);
  add_binary<F, uint64_t, uint64_t>(ops, op, ValueType::kU64);
}
template <typename F>
void add_binary_all(BlockOps& ops, Op op) {
  add_binary<F, float, float>(ops, op, ValueType::kF32);
  add_binary<F, double, double>(ops, op, ValueType::kF64);
  add_binary_integers<F>(ops, op);
}
template <typename F>
void add_logical(BlockOps& ops, Op op) {
  add_binary<F, uint32_t, uint32_t>(ops, op, ValueType::kMask);
}
template <typename F>
void add_comparison(BlockOps& ops, Op op) {
  add_binary<F, float, uint32_t>(ops, op, ValueType::kF32);
  add_binary<F, double, uint32_t>(ops, op, ValueType::kF64);
  add_binary<F, int64_t, uint32_t>(ops, op, ValueType::kI64);
  add_binary<F, uint64_t, uint32_t>(ops, op, ValueType::kU64);
}
template <typename T>
void add_select(BlockOps& ops, ValueType t) {
  BlockFn* modes = ops.select[at(t)];
  modes[0] = select<T, 0>, modes[1] = select<T, 1>, modes[2] = select<T, 2>, modes[3] = select<T, 3>;
  ops.fill[at(t)] = fill<T>;
}

}  // namespace

void add_arithmetic(BlockOps& ops) {
  add_unary_all<Neg>(ops, Op::kNeg);
  add_unary_all<Abs>(ops, Op::kAbs);
  add_unary_all<Sign>(ops, Op::kSign);
  add_unary_all<Floor>(ops, Op::kFloor);
  add_unary_all<Ceil>(ops, Op::kCeil);
  add_unary_all<Round>(ops, Op::kRound);
  add_unary_all<Trunc>(ops, Op::kTrunc);
  add_unary_integers<BitNot>(ops, Op::kBitNot);
  add_unary_floats<Sqrt>(ops, Op::kSqrt);
  add_unary_floats<Rsqrt>(ops, Op::kRsqrt);
  add_unary_floats<Reciprocal>(ops, Op::kReciprocal);
  add_predicate<IsNan>(ops, Op::kIsNan);
  add_predicate<IsPosInf>(ops, Op::kIsPosInf);
  add_predicate<IsNegInf>(ops, Op::kIsNegInf);
  add_unary<Not, uint32_t>(ops, Op::kNot, ValueType::kMask);

  add_binary_all<Add>(ops, Op::kAdd);
  add_binary_all<Sub>(ops, Op::kSub);
  add_binary_all<Mul>(ops, Op::kMul);
  add_binary_all<Div>(ops, Op::kDiv);
  add_binary_all<Mod>(ops, Op::kMod);
  add_binary_all<Fmod>(ops, Op::kFmod);
  add_binary_all<Pow>(ops, Op::kPow);
  add_binary_all<Min>(ops, Op::kMin);
  add_binary_all<Max>(ops, Op::kMax);
  add_binary_integers<BitAnd>(ops, Op::kBitAnd);
  add_binary_integers<BitOr>(ops, Op::kBitOr);
  add_binary_integers<BitXor>(ops, Op::kBitXor);
  add_binary_integers<Shl>(ops, Op::kShl);
  add_binary_integers<Shr>(ops, Op::kShr);
  add_logical<And>(ops, Op::kAnd);
  add_logical<Or>(ops, Op::kOr);
  add_logical<Xor>(ops, Op::kXor);
  add_comparison<Eq>(ops, Op::kEq);
  add_comparison<Ne>(ops, Op::kNe);
  add_comparison<Lt>(ops, Op::kLt);
  add_comparison<Le>(ops, Op::kLe);

  add_select<float>(ops, ValueType::kF32);
  add_select<double>(ops, ValueType::kF64);
  add_select<int64_t>(ops, ValueType::kI64);
  add_select<uint64_t>(ops, ValueType::kU64);
  add_select<uint32_t>(ops, ValueType::kMask);
}

}  // namespace tw::TW_ISA_NAMESPACE
