/** The least power of two that is at least `n`, and at least 1. */
export function powerOfTwoFrom(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, n)));
}
