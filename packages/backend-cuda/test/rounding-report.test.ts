/** What a plan tells of float32 that its steps round, where their results do not show it. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { expect, it } from 'vitest';
import { hasDevice } from './compare.js';

const cases = [
  { backends: ['cpu'], rounding: ['bf16'] },
  ...(hasDevice ? [{ backends: ['cuda', 'cpu'], rounding: ['bf16', 'tf32'] }] : []),
];

it.each(cases)('on $backends', async ({ backends, rounding }) => {
  const n = new NetworkDefinition();
  const x = n.addInput('x', 'float32', [4, 8]);
  const w = n.addConstant(new Tensor('float32', new Float32Array(24).fill(0.5), [8, 3]));
  n.markOutput(n.addMatrixMultiply(x, 'none', w, 'none'), 'y');
  const network = n.toNetwork();
  const options = { backends, optimizationLevel: 0 } as const;
  const plan = await new Builder().build(network, { ...options, precision: { bf16: true, tf32: true } });
  expect(plan.header.report.rounding).toEqual(rounding);
  await using engine = await Runtime.load(await plan.toBytes());
  expect(engine.inspect().report.rounding).toEqual(rounding);
  expect((await new Builder().build(network, options)).header.report).not.toHaveProperty('rounding');
});
