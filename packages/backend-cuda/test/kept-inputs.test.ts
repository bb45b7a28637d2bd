/** Inputs that trials keep for the next ones: they go where their memory is wanted. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition } from '@tensorwright/core';
import { loadNative, type PlanProgram, type PlanValue } from '@tensorwright/native';
import { afterEach, describe, expect, it } from 'vitest';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';

const native = loadNative();

afterEach(() => {
  play('');
});

/** x + x of so many elements; x lies in the device's memory, as trials have it. */
async function doubler(elements: number): Promise<{ description: PlanProgram; weights: Uint8Array }> {
  const network = new NetworkDefinition('doubler');
  const x = network.addInput('x', 'float32', [elements]);
  network.markOutput(network.addElementWise(x, x, 'sum'), 'y');
  const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  const { program } = plan.header;
  const [host] = program.inputs as [number];
  const [transfer, ...steps] = program.steps;
  expect(transfer).toMatchObject({ kernel: 'transfer', inputs: [{ value: host }] });
  const device = transfer!.outputs[0]!.value;
  const storage = (value: PlanValue, i: number): PlanValue => {
    if (i === host) return { ...value, storage: { kind: 'heap' } };
    return i === device ? { ...value, storage: { kind: 'input', index: 0 } } : value;
  };
  const description = {
    ...program,
    values: program.values.map(storage),
    inputs: [device],
    steps,
    segments: program.segments.map((s) => ({ ...s, begin: Math.max(0, s.begin - 1), end: s.end - 1 })),
  };
  const bytes = await plan.toBytes();
  return { description, weights: bytes.slice(bytes.length - plan.header.report.weightBytes) };
}

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
