/** The sample does what it says: every one of the 360 test images is recognized. */

import { expect, test } from 'vitest';
import { main } from '../main.mjs';

test('recognizes all test images', async () => {
  const lines: string[] = [];
  const result = await main({ compare: false, print: (line: string) => void lines.push(line) });
  expect(result.total).toBe(360);
  expect(result.correct).toBe(360);
  expect(result.layers.length).toBeGreaterThan(0);
  expect(lines.join('\n')).toMatch(/accuracy {2}360 of 360 images, 100\.0 %/);
}, 120_000);
