// How many taps of a window that begins at `begin` lie in [low, high).
TW_DEVICE i32 window_taps(i32 begin, i32 low, i32 high, i32 taps, i32 dilation) {
  const i32 first = begin < low ? (low - begin + dilation - 1) / dilation : 0;
  const i32 end = begin >= high ? 0 : min(taps, (high - begin + dilation - 1) / dilation);
  return max(end - first, 0);
}
