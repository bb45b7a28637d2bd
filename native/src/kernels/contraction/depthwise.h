// Convolution of each channel with its own kernel, channels-last: vectors over channels, a few outputs of a row at
// once.
#pragma once
#include "kernels/contraction/activation.h"
#include "kernels/contraction/conv_geometry.h"

namespace tw {

constexpr int kMaxStrip = 7;

// A strip of outputs along w for a range of channels.
struct DepthwiseStrip {
  const float* x;       // at the strip's first input row and column (perhaps outside the input) and channel 0
  int64_t row, column;  // strides between kernel rows (dilation included) and between input columns
  const float* w;       // [tap][tap_stride]
  int64_t tap_stride;
  int64_t kernel_h, kernel_w, stride_w, dilation_w;
  int64_t row_begin, row_end;        // kernel rows inside the input
  int64_t column_begin, column_end;  // columns of the strip's input inside the input, counted from x
  int outputs;                       // 1, 4 or 7
  float* const* y;                   // one pointer an output, at channel 0
  const float* bias;                 // null or one a channel
  const float* const* residual;
  bool clip;
  Activation activation;
  ActivationNumbers numbers;  // of the clip, too
  int64_t channel_begin, channel_end, channels;
};

struct DepthwiseTable {
  void (*strip)(const DepthwiseStrip& strip);
};
TW_PER_ISA(const DepthwiseTable& depthwise_table();)
inline const DepthwiseTable& depthwise_table() { return TW_SELECT_ISA(depthwise_table)(); }

}  // namespace tw
