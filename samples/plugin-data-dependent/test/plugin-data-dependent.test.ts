/** The sample's outputs have the sizes that the values decide, none included. */

import { expect, test } from 'vitest';
import { main } from '../main.mjs';

test('keeps what lies above the limit', async () => {
  const lines: string[] = [];
  expect(await main({ print: (line: string) => void lines.push(line) })).toEqual([[2, 3], [], [4]]);
  expect(lines).toEqual(['4 -1 9 0.5  →  2 3', '1  →  nothing', '16  →  4']);
}, 120_000);
