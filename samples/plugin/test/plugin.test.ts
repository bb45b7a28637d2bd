/** The sample's plugin computes Mish, wherever it runs. */

import { expect, test } from 'vitest';
import { main } from '../main.mjs';

test('computes twice the activation', async () => {
  const lines: string[] = [];
  const { input, output } = await main({ print: (line: string) => void lines.push(line) });
  // Values of mish(x) at -4 … 4, from the formula in exact arithmetic, to five digits.
  const mish = [-0.07259, -0.14565, -0.2525, -0.3034, 0, 0.8651, 1.94396, 2.98654, 3.99741];
  expect(input).toEqual([-4, -3, -2, -1, 0, 1, 2, 3, 4]);
  output.forEach((v: number, i: number) => expect(v).toBeCloseTo(2 * mish[i]!, 4));
  expect(lines).toHaveLength(3);
}, 120_000);
