// Types and attributes. The whole prelude compiles as raw text: no headers, only what the compiler predefines.
// Under TW_EMULATOR the host compiler reads the same text, after native/cuda/emulator/device/builtins.h.
#ifndef TW_EMULATOR
#define TW_DEVICE __device__ __forceinline__
#endif

using i8 = signed char;
using u8 = unsigned char;
using i16 = short;
using u16 = unsigned short;
using i32 = int;
using u32 = unsigned int;
using i64 = long long;
using u64 = unsigned long long;
using f32 = float;
using f64 = double;

static_assert(sizeof(void*) == 8 && sizeof(i64) == 8 && sizeof(i32) == 4, "a 64-bit target");

// IEEE half precision as its bits. `convert<f16>(x)` makes one; reading one as a float is implicit and exact.
struct f16 {
  u16 bits;
  TW_DEVICE operator f32() const;
};

// The upper half of a float, as its bits.
struct bf16 {
  u16 bits;
  TW_DEVICE operator f32() const;
};

// A boolean of one byte in memory: 0 or 1.
struct b8 {
  u8 bits;
  TW_DEVICE operator bool() const { return bits != 0; }
};

template <typename A, typename B>
struct SameType {
  static constexpr bool value = false;
};
template <typename A>
struct SameType<A, A> {
  static constexpr bool value = true;
};
template <typename A, typename B>
constexpr bool is_same = SameType<A, B>::value;

template <typename T>
constexpr bool is_integer = is_same<T, i8> || is_same<T, u8> || is_same<T, i16> || is_same<T, u16> ||
                            is_same<T, i32> || is_same<T, u32> || is_same<T, i64> || is_same<T, u64>;
template <typename T>
constexpr bool is_signed = is_same<T, i8> || is_same<T, i16> || is_same<T, i32> || is_same<T, i64> ||
                           is_same<T, f32> || is_same<T, f64> || is_same<T, f16> || is_same<T, bf16>;
template <typename T>
constexpr bool is_float = is_same<T, f32> || is_same<T, f64> || is_same<T, f16> || is_same<T, bf16>;

// N elements that are loaded and stored as one: aligned to their size, 16 bytes at most.
template <typename T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vec {
  static_assert((N & (N - 1)) == 0, "a power of two");
  T v[N];
  TW_DEVICE T& operator[](int i) { return v[i]; }
  TW_DEVICE const T& operator[](int i) const { return v[i]; }
};

// The bytes of a value read as another type of the same size.
template <typename To, typename From>
TW_DEVICE To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "equal sizes");
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}
