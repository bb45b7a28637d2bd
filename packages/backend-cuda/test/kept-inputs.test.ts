/** Inputs that trials keep for the next ones: they go where their memory is wanted. */

import { loadNative } from '@tensorwright/native';
import { afterEach, describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';
import { doubler } from './support/trial-programs.js';

const native = loadNative();

afterEach(() => {
  play('');
});

describe.skipIf(!hasDevice || !isEmulated)('inputs of trials', () => {
  it('stay for the next trial, and go where memory runs short', async () => {
    const elements = 150_000;
    const sizes = [0, 1, 2, 3].map((i) => elements + i);
    const programs = [];
    for (const size of sizes) programs.push(await doubler(size));
    const { ownBytes: before } = native.cuda.memory();
    // Two trials' inputs and one's results.
    play(`memory:${String(before + 14 * elements)}`);
    for (const [i, { description, weights }] of programs.entries()) {
      using program = native.createProgram(description, native.openWeights(weights));
      const { outputs } = await native.try(program, [[sizes[i]!]], { outputs: true, maxRuns: 0 });
      expect(outputs[0]!.dims).toEqual([sizes[i]]);
    }
    expect(native.cuda.memory().ownBytes).toBeGreaterThanOrEqual(before + 4 * elements);
  });
});
