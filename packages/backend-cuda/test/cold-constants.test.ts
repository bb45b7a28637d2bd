/** Trials with constants that the device's cache does not hold: copies of them take turns. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { afterEach, describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';

const native = loadNative();

afterEach(() => {
  play('');
});

describe.skipIf(!hasDevice)('cold constants', () => {
  const elements = 1 << 18;
  const build = async () => {
    const network = new NetworkDefinition('sum');
    const x = network.addInput('x', 'float32', [elements]);
    const weights = network.addConstant(new Tensor('float32', new Float32Array(elements).fill(2), [elements]));
    network.markOutput(network.addElementWise(x, weights, 'sum'), 'y');
    const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
    const bytes = await plan.toBytes();
    return { program: plan.header.program, weights: bytes.slice(bytes.length - plan.header.report.weightBytes) };
  };
  const options = { coldConstants: true, maxRuns: 4, outputs: true };

  it('are timed, and their copies go', async () => {
    const { program, weights } = await build();
    using opened = native.createProgram(program, native.openWeights(weights));
    const { ownBytes: before } = native.cuda.memory();
    const { nanoseconds, outputs } = await native.try(opened, [[elements]], options);
    expect(nanoseconds[0]).toBeGreaterThan(0);
    expect(outputs[0]!.dims).toEqual([elements]);
    expect(native.cuda.memory().ownBytes).toBe(before);
  });

  it.skipIf(!isEmulated)('are timed with fewer copies where memory is short', async () => {
    const { program, weights } = await build();
    using opened = native.createProgram(program, native.openWeights(weights));
    const { ownBytes: before } = native.cuda.memory();
    // The constants, the operands of the sum, and a little.
    play(`memory:${String(before + 14 * elements)}`);
    const { nanoseconds } = await native.try(opened, [[elements]], { ...options, outputs: false });
    expect(nanoseconds[0]).toBeGreaterThan(0);
  });
});
