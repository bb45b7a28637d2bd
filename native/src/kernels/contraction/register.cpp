// Names of the contraction kernels.
#include "kernels/contraction/pack_tactics.h"

namespace tw {

void register_contraction() {
  register_kernel("dot_f32", make_dot_f32);
  register_kernel("conv_f32", make_conv_f32);
  register_kernel("conv_transpose_f32", make_conv_transpose_f32);
  register_kernel("dot_narrow", make_dot_narrow);
  register_kernel("conv_narrow", make_conv_narrow);
  register_kernel("dot_any", make_dot_any);
  register_kernel("conv_any", make_conv_any);
  register_kernel("conv_transpose_any", make_conv_transpose_any);
}

}  // namespace tw
