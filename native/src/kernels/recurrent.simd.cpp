#include "kernels/recurrent_loops.h"

#include "kernels/simd/math.h"

namespace tw::TW_ISA_NAMESPACE {
namespace {

void sigmoid_row(float* x, int64_t n) {
  for_vectors(n, [&](int64_t i, int64_t lanes, bool whole) {
    if (whole) sigmoid(F32::load(x + i)).store(x + i);
    else sigmoid(F32::load_part(x + i, lanes, 0)).store_part(x + i, lanes);
  });
}

void tanh_row(float* x, int64_t n) {
  for_vectors(n, [&](int64_t i, int64_t lanes, bool whole) {
    if (whole) tanh(F32::load(x + i)).store(x + i);
    else tanh(F32::load_part(x + i, lanes, 0)).store_part(x + i, lanes);
  });
}

}  // namespace

const RecurrentLoops& recurrent_loops() {
  static constexpr RecurrentLoops table = {sigmoid_row, tanh_row};
  return table;
}

}  // namespace tw::TW_ISA_NAMESPACE
