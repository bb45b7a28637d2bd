// Number formats against values computed from their definitions (sign, exponent, fraction) and rounding by exact
// search.
#include "base/convert.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/check.h"

using namespace tw;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNaN = std::numeric_limits<float>::quiet_NaN();

// The definition: what each magnitude code of a format stands for, in order; infinity and NaN codes left out.
std::vector<double> finite_magnitudes(int exponent_bits, int mantissa_bits, int bias, int count) {
  std::vector<double> values;
  for (int code = 0; code < count; ++code) {
    const int exponent = code >> mantissa_bits, fraction = code & ((1 << mantissa_bits) - 1);
    if (exponent >> exponent_bits) break;
    values.push_back(exponent ? std::ldexp(1.0 + std::ldexp(fraction, -mantissa_bits), exponent - bias)
                              : std::ldexp(fraction, 1 - bias - mantissa_bits));
  }
  return values;
}

// Index of the nearest value, ties to the even code; the last index + 1 when the value rounds beyond the largest.
int nearest_code(const std::vector<double>& values, double x) {
  const double step = values.back() - values[values.size() - 2];
  size_t high = std::lower_bound(values.begin(), values.end(), x) - values.begin();
  if (high < values.size() && values[high] == x) return static_cast<int>(high);
  const double above = high < values.size() ? values[high] : values.back() + step, below = values[high - 1];
  const double to_above = above - x, to_below = x - below;  // exact: the operands are close, or x is far beyond the end
  if (to_below < to_above) return static_cast<int>(high) - 1;
  if (to_above < to_below) return static_cast<int>(high);
  return static_cast<int>(high % 2 ? high - 1 : high);
}

struct Case {
  const char* name;
  int exponent_bits, mantissa_bits, bias, finite;  // `finite` magnitudes
  int overflow, nan;                               // codes without saturation, for positive numbers
  bool fnuz, always_saturates;
  uint32_t (*encode)(double, bool);
  float (*decode)(uint32_t);
};

template <const SmallFloat& F>
uint32_t encode(double x, bool saturate) {
  return encode_small_float<F>(to_odd_float(x), saturate);
}
template <const SmallFloat& F>
float decode(uint32_t bits) {
  return decode_small_float<F>(bits);
}

const Case kCases[] = {
    {"float16", 5, 10, 15, 0x7C00, 0x7C00, 0x7E00, false, false, encode<kFloat16Format>, decode<kFloat16Format>},
    {"float8e4m3fn", 4, 3, 7, 0x7F, 0x7F, 0x7F, false, false, encode<kE4M3FNFormat>, decode<kE4M3FNFormat>},
    {"float8e4m3fnuz", 4, 3, 8, 0x80, 0x80, 0x80, true, false, encode<kE4M3FNUZFormat>, decode<kE4M3FNUZFormat>},
    {"float8e5m2", 5, 2, 15, 0x7C, 0x7C, 0x7E, false, false, encode<kE5M2Format>, decode<kE5M2Format>},
    {"float8e5m2fnuz", 5, 2, 16, 0x80, 0x80, 0x80, true, false, encode<kE5M2FNUZFormat>, decode<kE5M2FNUZFormat>},
    {"float4e2m1", 2, 1, 1, 8, 7, 8, false, true, encode<kE2M1Format>, decode<kE2M1Format>},
    {"bfloat16", 8, 7, 127, 0x7F80, 0x7F80, 0x7FC0, false, false,
     [](double x, bool) { return encode_bfloat16(to_odd_float(x)); },
     [](uint32_t bits) { return decode_bfloat16(bits); }},
};

}  // namespace

TEST(decoding_every_code) {
  for (const Case& c : kCases) {
    const auto values = finite_magnitudes(c.exponent_bits, c.mantissa_bits, c.bias, c.finite);
    const uint32_t sign = 1u << (c.exponent_bits + c.mantissa_bits);
    for (uint32_t code = 0; code < 2 * sign; ++code) {
      const uint32_t magnitude = code & (sign - 1);
      const float got = c.decode(code);
      if (c.fnuz && code == sign) {
        CHECK_MSG(std::isnan(got), c.name);
      } else if (magnitude < values.size()) {
        const double expected = code & sign ? -values[magnitude] : values[magnitude];
        CHECK_MSG(got == expected && std::signbit(got) == std::signbit(expected),
                  c.name + (" " + std::to_string(code)));
      } else if (magnitude == values.size() && c.overflow != c.nan) {
        CHECK_MSG(got == (code & sign ? -kInf : kInf), c.name);
      } else {
        CHECK_MSG(std::isnan(got), c.name + (" " + std::to_string(code)));
      }
    }
  }
}

TEST(encoding_rounds_to_nearest_even) {
  std::mt19937_64 random(7);
  for (const Case& c : kCases) {
    const auto values = finite_magnitudes(c.exponent_bits, c.mantissa_bits, c.bias, c.finite);
    const uint32_t sign = 1u << (c.exponent_bits + c.mantissa_bits);
    std::vector<double> inputs;
    const auto around = [&](double x) {
      for (double y : {std::nextafter(x, 0.0), x, std::nextafter(x, 1e300)}) inputs.push_back(y);
      // Neighbours as floats, too.
      const float f = static_cast<float>(x);
      if (std::isfinite(f)) inputs.push_back(std::nextafter(f, 0.0f)), inputs.push_back(std::nextafter(f, kInf));
    };
    for (size_t i = 0; i + 1 < values.size(); ++i) around(values[i]), around((values[i] + values[i + 1]) / 2);
    const double step = values.back() - values[values.size() - 2];
    around(values.back()), around(values.back() + step / 2), around(values.back() + step), around(values.back() * 3);
    for (int i = 0; i < 20000; ++i)
      inputs.push_back(std::ldexp(static_cast<double>(random() >> 11), -53 + static_cast<int>(random() % 60) - 30));
    for (double x : inputs) {
      if (!std::isfinite(x)) continue;
      for (bool negative : {false, true})
        for (bool saturate : {false, true}) {
          if (saturate && (c.mantissa_bits == 10 || c.mantissa_bits == 7)) continue;  // these never saturate
          const int code = nearest_code(values, x);
          uint32_t expected = static_cast<uint32_t>(code);
          if (code >= static_cast<int>(values.size()))
            expected = saturate || c.always_saturates ? static_cast<uint32_t>(values.size() - 1) : c.overflow;
          if (negative && !(c.fnuz && (expected == 0 || expected == sign))) expected |= sign;
          const uint32_t got = c.encode(negative ? -x : x, saturate);
          CHECK_MSG(got == expected, std::string(c.name) + " of " + test::show(negative ? -x : x) + ": got " +
                                         std::to_string(got) + ", expected " + std::to_string(expected));
        }
    }
  }
}

TEST(encoding_specials) {
  for (const Case& c : kCases) {
    const uint32_t sign = 1u << (c.exponent_bits + c.mantissa_bits);
    CHECK_EQ(c.encode(kNaN, true), static_cast<uint32_t>(c.nan));
    CHECK_EQ(c.encode(kNaN, false), static_cast<uint32_t>(c.nan));
    const bool negative_overflow = !c.fnuz;
    CHECK_EQ(c.encode(kInf, false), static_cast<uint32_t>(c.overflow));
    CHECK_EQ(c.encode(-kInf, false), c.overflow | (negative_overflow ? sign : 0));
    if (c.mantissa_bits < 7) {
      CHECK_EQ(c.encode(kInf, true), static_cast<uint32_t>(c.finite - 1));
      CHECK_EQ(c.encode(-kInf, true), static_cast<uint32_t>(c.finite - 1) | sign);
    }
    CHECK_EQ(c.encode(-0.0, true), c.fnuz ? 0 : sign);
  }
}

// From ONNX's own test data for Cast.
TEST(onnx_cast_rows) {
  const float x[] = {0.47892547f, 0.48033667f, 0.49968487f, 0.81910545f, 0.47031248f, 0.7229038f, 1e6f, 1e-7f,
                     kNaN,        kInf,        kInf,        -kInf,       -1e-7f,      1e-7f,      -1e6f};
  const uint32_t e4m3fn[] = {0x2F, 0x2F, 0x30, 0x35, 0x2F, 0x34, 0x7E, 0, 0x7F, 0x7E, 0x7E, 0xFE, 0x80, 0, 0xFE};
  const uint32_t e4m3fnuz_unsaturated[] = {0x37, 0x37, 0x38, 0x3D, 0x37, 0x3C, 0x80, 0,
                                           0x80, 0x80, 0x80, 0x80, 0,    0,    0x80};
  const uint32_t e5m2_unsaturated[] = {0x38, 0x38, 0x38, 0x3B, 0x38, 0x3A, 0x7C, 0,
                                       0x7E, 0x7C, 0x7C, 0xFC, 0x80, 0,    0xFC};
  for (int i = 0; i < 15; ++i) {
    CHECK_EQ(encode_small_float<kE4M3FNFormat>(x[i], true), e4m3fn[i]);
    CHECK_EQ(encode_small_float<kE4M3FNUZFormat>(x[i], false), e4m3fnuz_unsaturated[i]);
    CHECK_EQ(encode_small_float<kE5M2Format>(x[i], false), e5m2_unsaturated[i]);
  }
  const float y[] = {0.48f, 0.25f, 1.05f, -3.5f, -8, 9, 1e6f, 1e-7f, kNaN, kInf, kInf, -kInf, -4, 0.01f, -0.0f};
  const uint32_t e2m1[] = {1, 0, 2, 0xE, 0xF, 7, 7, 0, 8, 7, 7, 0xF, 0xE, 0, 8};
  for (int i = 0; i < 15; ++i) CHECK_EQ(encode_small_float<kE2M1Format>(y[i], true), e2m1[i]);
  const float z[] = {0, 0.124f, 0.25f, 0.5f, 1.1f, 2, 4, 8};
  const uint32_t e8m0[] = {0, 0x7C, 0x7D, 0x7E, 0x80, 0x80, 0x81, 0x82};
  for (int i = 0; i < 8; ++i) CHECK_EQ(encode_e8m0(z[i], true, RoundMode::kUp), e8m0[i]);
}

TEST(e8m0_is_a_power_of_two) {
  for (uint32_t code = 0; code < 255; ++code)
    CHECK_EQ(static_cast<double>(decode_e8m0(code)), std::ldexp(1.0, static_cast<int>(code) - 127));
  CHECK(std::isnan(decode_e8m0(255)));
  for (RoundMode mode : {RoundMode::kUp, RoundMode::kDown, RoundMode::kNearest})
    for (bool saturate : {false, true}) {
      for (int e = -127; e <= 127; ++e)
        for (double m : {1.0, 1.0000002, 1.25, 1.4999998, 1.5, 1.5000002, 1.75, 1.9999999}) {
          const float x = static_cast<float>(std::ldexp(m, e));
          if (!std::isfinite(x)) continue;
          int exponent;
          const double fraction = 2 * std::frexp(static_cast<double>(x), &exponent);  // x = fraction * 2^(exponent - 1)
          const bool up = mode == RoundMode::kUp ? fraction > 1 : mode == RoundMode::kNearest && fraction >= 1.5;
          int code = exponent - 1 + 127 + up;
          if (code > 254) code = saturate ? 254 : 255;
          CHECK_MSG(encode_e8m0(x, saturate, mode) == static_cast<uint32_t>(code), test::show(x));
        }
      CHECK_EQ(encode_e8m0(0, saturate, mode), saturate ? 0u : 255u);
      CHECK_EQ(encode_e8m0(kInf, saturate, mode), saturate ? 254u : 255u);
      CHECK_EQ(encode_e8m0(kNaN, saturate, mode), 255u);
      CHECK_EQ(encode_e8m0(1e-44f, saturate, mode), saturate || mode == RoundMode::kUp ? 0u : 255u);
    }
}

TEST(sixty_four_bit_integers_round_once) {
  const auto values = finite_magnitudes(8, 7, 127, 0x7F80);
  std::mt19937_64 random(3);
  const auto expect = [&](int64_t x) {
    const double magnitude = std::fabs(static_cast<double>(x));
    int code = nearest_code(values, magnitude);
    // The double above may itself have been rounded onto a tie: decide in integers.
    const double low = values[code - 1], high = values[code];
    const unsigned __int128 twice = 2 * static_cast<unsigned __int128>(x < 0 ? -static_cast<__int128>(x) : x);
    const auto tie = static_cast<unsigned __int128>(low) + static_cast<unsigned __int128>(high);
    if (twice < tie) code = code - 1;
    const double next = values[code + 1], here = values[code];
    const auto next_tie = static_cast<unsigned __int128>(here) + static_cast<unsigned __int128>(next);
    if (twice > next_tie) code = code + 1;
    return static_cast<uint32_t>(code) | (x < 0 ? 0x8000u : 0);
  };
  for (int i = 0; i < 200000; ++i) {
    int64_t x = static_cast<int64_t>(random()) >> (random() % 40);
    if (i % 2) x = (x & ~((int64_t{1} << (random() % 54)) - 1)) + static_cast<int64_t>(random() % 3) - 1;  // near ties
    if (x > -1000 && x < 1000) continue;
    CHECK_MSG(encode_bfloat16(to_odd_float(x)) == expect(x), test::show(x));
    if (x > 0) CHECK_EQ(encode_bfloat16(to_odd_float(static_cast<uint64_t>(x))), expect(x));
  }
}

TEST(floats_to_integers) {
  CHECK_EQ(to_int64(-1.9f), -1);
  CHECK_EQ(to_int64(1e30f), INT64_MAX);
  CHECK_EQ(to_int64(-1e30), INT64_MIN);
  CHECK_EQ(to_int64(-9223372036854775808.0), INT64_MIN);
  CHECK_EQ(to_int64(kNaN), 0);
  CHECK_EQ(to_int64(static_cast<double>(kInf)), INT64_MAX);
  CHECK_EQ(to_uint64(-1.0, false), UINT64_MAX);
  CHECK_EQ(to_uint64(-1.0, true), 0u);
  CHECK_EQ(to_uint64(1e19, false), 10000000000000000000u);
  CHECK_EQ(to_uint64(1e30, false), UINT64_MAX);
}

TEST(packed_elements) {
  uint8_t bytes[4] = {0x21, 0xE4, 0, 0xFF};
  CHECK_EQ(get_packed<4>(bytes, 0), 1u);
  CHECK_EQ(get_packed<4>(bytes, 1), 2u);
  CHECK_EQ(get_packed<2>(bytes, 5), 1u);
  CHECK_EQ(get_packed<2>(bytes, 7), 3u);
  set_packed<4>(bytes, 6, 0x15);
  CHECK_EQ(bytes[3], 0xF5);
  set_packed<2>(bytes, 9, 2);
  CHECK_EQ(bytes[2], 0x08);
}
