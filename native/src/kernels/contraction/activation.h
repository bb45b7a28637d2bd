// The activations that epilogues are recognised by, and rows of sums they are applied to.
#pragma once
#include <cstdint>

#include "base/isa_dispatch.h"

namespace tw {

// What mobile networks and transformers put after x = acc + sides…
enum class Activation : uint8_t {
  kNone,
  kSigmoid,
  kSwish,         // x sigmoid(x)
  kHardSigmoid,   // min(high, max(low, scale x + shift))
  kHardSwish,     // x times that
  kGelu           // x / 2 (1 + erf(scale x))
};

struct ActivationNumbers {
  float low, high, scale = 1, shift = 0;
};

// Rows of floats, each dense; `to` may be `from`.
struct ActivationRows {
  Activation activation;
  ActivationNumbers numbers;
  const float* from;
  float* to;
  int64_t rows, columns;
  int64_t from_step, to_step;  // between rows
};

struct ActivationTable {
  void (*rows)(const ActivationRows& rows);
};
TW_PER_ISA(const ActivationTable& activation_table();)
inline const ActivationTable& activation_table() { return TW_SELECT_ISA(activation_table)(); }

}  // namespace tw
