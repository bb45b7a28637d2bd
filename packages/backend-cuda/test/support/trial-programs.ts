/** Programs as trials have them. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition } from '@tensorwright/core';
import type { PlanProgram, PlanValue } from '@tensorwright/native';
import { expect } from 'vitest';

/** x + x of so many elements; x lies in the device's memory, as trials have it. */
export async function doubler(elements: number): Promise<{ description: PlanProgram; weights: Uint8Array }> {
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
