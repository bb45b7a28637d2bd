#include "kernels/contraction/activate.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

constexpr int W = F32::kLanes;

template <Activation A>
void rows(const ActivationRows& r) {
  for (int64_t i = 0; i < r.rows; ++i) {
    const float* from = r.from + i * r.from_step;
    float* to = r.to + i * r.to_step;
    int64_t c = 0;
    for (; c + 2 * W <= r.columns; c += 2 * W) {
      F32 x[2] = {F32::load(from + c), F32::load(from + c + W)};
      activate(A, r.numbers, x);
      x[0].store(to + c), x[1].store(to + c + W);
    }
    for (; c < r.columns; c += W) {
      const int64_t lanes = r.columns - c;
      F32 x[1] = {lanes >= W ? F32::load(from + c) : F32::load_part(from + c, lanes, 0)};
      activate(A, r.numbers, x);
      if (lanes >= W)
        x[0].store(to + c);
      else
        x[0].store_part(to + c, lanes);
    }
  }
}

void dispatch(const ActivationRows& r) {
  switch (r.activation) {
    case Activation::kNone:
      return rows<Activation::kNone>(r);
    case Activation::kSigmoid:
      return rows<Activation::kSigmoid>(r);
    case Activation::kSwish:
      return rows<Activation::kSwish>(r);
    case Activation::kHardSigmoid:
      return rows<Activation::kHardSigmoid>(r);
    case Activation::kHardSwish:
      return rows<Activation::kHardSwish>(r);
    case Activation::kGelu:
      return rows<Activation::kGelu>(r);
  }
}

}  // namespace

const ActivationTable& activation_table() {
  static constexpr ActivationTable table = {dispatch};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
