// Indices that are data: negative ones count from the end. What lies outside is clamped, since a kernel cannot fail.
template <typename Index>
TW_DEVICE i64 pick_index(Index index, i64 extent) {
  i64 at = static_cast<i64>(index);
  if (at < 0) at += extent;
  if (at >= extent) at = extent - 1;
  return at < 0 ? 0 : at;
}
