/** ModulatedDeformConv2d and the layer that it is lowered to, against ONNX Runtime's DeformConv. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { readNumbers, type Tensor, tensorFromNumbers } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import type { Operand, Problem } from '../src/plugins/case.js';
import { modulatedDeformConvCase } from '../src/plugins/cases/modulated-deform-conv.js';
import { networkOf, tensorsOf } from '../src/plugins/network.js';
import { Random } from '../src/plugins/random.js';

const tensorOf = ({ values, dims }: Operand): Tensor => tensorFromNumbers('float32', values, dims);

async function byOrt({ inputs, fields }: Problem): Promise<Float64Array> {
  const { x, offset, mask, weight, bias } = inputs;
  const [stride, padding, dilation] = ['stride', 'padding', 'dilation'].map((name) => fields[name] as number[]);
  const [y] = await runOrt({
    ...{ op: 'DeformConv', opset: 19 },
    inputs: [x!, weight!, offset!, bias, mask].map((operand) => operand && tensorOf(operand)),
    attributes: {
      ...{ strides: stride!, dilations: dilation!, pads: [...padding!, ...padding!] },
      ...{ group: fields['group'] as number, offset_group: fields['deformable_group'] as number },
    },
  });
  return readNumbers(y!);
}

async function byUs(problem: Problem, backends: readonly string[]): Promise<Float64Array> {
  const network = networkOf(modulatedDeformConvCase, problem, 'float32').toNetwork();
  const plan = await new Builder().build(network, { backends: [...backends], optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext();
  return readNumbers((await context.run(tensorsOf(problem, 'float32')))['output']!);
}

const problems = modulatedDeformConvCase
  .problems(new Random(1))
  .filter((p) => !p.timed && Object.values(p.inputs).every((o) => !o.dims.includes(0)));

it.each(problems)("the formula is ONNX Runtime's: $name", async (problem) => {
  const wanted = await byOrt(problem);
  const got = modulatedDeformConvCase.reference(problem)['output']!;
  expect(got.length).toBe(wanted.length);
  got.forEach((v, i) => expect(Math.abs(v - wanted[i]!)).toBeLessThan(1e-5));
});

describe('infinite pixels, and taps that are displaced to nowhere, give what they give in ONNX Runtime', () => {
  const places = [0, 0.5, -1, NaN, 0, Infinity, 1, -0.5, -Infinity, 1e30, 0.25, -1e30];
  const withValues = (problem: Problem, name: string, value: (i: number) => number | undefined): Problem => {
    const operand = problem.inputs[name]!;
    const values = operand.values.map((v, i) => value(i) ?? v);
    return { ...problem, inputs: { ...problem.inputs, [name]: { ...operand, values } } };
  };
  const infinite = problems
    .filter((p) => ['1 x 1', '3 x 3', 'a stride, unequal axes', 'two groups of channels'].includes(p.name))
    // The first pixel of a channel stands for all that are outside there, with a weight of 0.
    .map((p) => withValues(p, 'x', (i) => (i % 97 === 7 && i % 63 > 0 ? Infinity : undefined)))
    .map((p) => withValues(p, 'offset', (i) => places[i % places.length]))
    .map((p) => withValues(p, 'mask', (i) => (i % 19 === 0 ? 0 : undefined)));

  it.each([['cpu'], ...(cudaBackend.device() === undefined ? [] : [['cuda', 'cpu']])])('on %s', async (...backends) => {
    for (const problem of infinite) {
      const [got, wanted] = [await byUs(problem, backends), await byOrt(problem)];
      expect(wanted.some(Number.isFinite) && wanted.some(Number.isNaN)).toBe(true);
      got.forEach((v, i) => {
        if (Number.isFinite(wanted[i])) expect(Math.abs(v - wanted[i]!), `${problem.name} ${i}`).toBeLessThan(1e-5);
        else expect(v, `${problem.name} ${i}`).toBe(wanted[i]);
      });
    }
  });
});
