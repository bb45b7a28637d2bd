/** A C++ function `pad_source(c, n)`: where the element at c of a padded axis of n elements comes from. */

export function padSource(mode: string): string {
  switch (mode) {
    case 'edge':
      return 'TW_DEVICE i64 pad_source(i64 c, i64 n) { return c < 0 ? 0 : c >= n ? n - 1 : c; }';
    case 'wrap':
      return 'TW_DEVICE i64 pad_source(i64 c, i64 n) { const i64 r = c % n; return r < 0 ? r + n : r; }';
    case 'reflect':
      return `TW_DEVICE i64 pad_source(i64 c, i64 n) {
  if (n == 1) return 0;
  const i64 period = 2 * (n - 1);
  i64 r = c % period;
  if (r < 0) r += period;
  return r < n ? r : period - r;
}`;
    default:
      return 'TW_DEVICE i64 pad_source(i64 c, i64) { return c; }';
  }
}
