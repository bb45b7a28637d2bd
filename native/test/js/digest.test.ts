/** The digest, against the same construction on Node.js's BLAKE2b. */

import { createHash } from 'node:crypto';
import { loadNative } from '@tensorwright/native';
import { expect, test } from 'vitest';

const piece = 2 ** 20;

function expected(bytes: Uint8Array): string {
  const whole = createHash('blake2b512');
  for (let at = 0; at === 0 || at < bytes.length; at += piece) {
    whole.update(
      createHash('blake2b512')
        .update(bytes.subarray(at, at + piece))
        .digest(),
    );
  }
  return whole.digest('hex').slice(0, 64);
}

test.each([0, 1, 127, 128, 129, 1000, piece - 1, piece, piece + 1, 3 * piece, 5_000_000])(
  '%i bytes',
  async (length) => {
    const bytes = new Uint8Array(length);
    for (let i = 0, state = 1; i < length; i++) bytes[i] = (state = (state * 1103515245 + 12345) >>> 0) >>> 24;
    expect(await loadNative().digest(bytes)).toBe(expected(bytes));
  },
);
