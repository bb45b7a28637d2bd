// Integer arithmetic on sizes that come from outside: overflow is an answer, not undefined behaviour.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>

namespace tw {

inline std::optional<int64_t> checked_add(int64_t a, int64_t b) {
  if (b > 0 ? a > std::numeric_limits<int64_t>::max() - b : a < std::numeric_limits<int64_t>::min() - b) return {};
  return a + b;
}

inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max(), kMin = std::numeric_limits<int64_t>::min();
  if (a == 0 || b == 0) return 0;
  if ((a == -1 && b == kMin) || (b == -1 && a == kMin)) return {};
  if (a > 0 ? (b > 0 ? a > kMax / b : b < kMin / a) : (b > 0 ? a < kMin / b : a < kMax / b)) return {};
  return a * b;
}

// Rounds to minus infinity. Nothing for a division by zero, too.
inline std::optional<int64_t> checked_floor_div(int64_t a, int64_t b) {
  if (b == 0) return {};
  if (b == -1) return checked_mul(a, -1);
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

// Has the sign of b.
inline std::optional<int64_t> checked_floor_mod(int64_t a, int64_t b) {
  if (b == 0) return {};
  if (b == -1) return 0;
  const int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

}  // namespace tw
