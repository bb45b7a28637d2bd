/** Steps made by the backend run through its executor as the nodes they came from are evaluated. */

import {
  asSymbol,
  type Dim,
  type DimSymbol,
  evaluateNode,
  GraphBuilder,
  loadBackend,
  type Node,
  type PlanStep,
  type RuntimeValue,
  type StepExecutor,
  Tensor,
  type TensorType,
  tensorType,
} from '@tensorwright/core';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { referenceBackend } from '../src/index.js';
import { version } from '../src/version.js';

/** The step as a plan file carries it, and an executor over the constants that went into the weights. */
async function planStep(node: Node): Promise<{ step: PlanStep; executor: StepExecutor; symbols: DimSymbol[] }> {
  const symbols: DimSymbol[] = [];
  let weights = new Uint8Array(0);
  const [candidate] = referenceBackend.candidates(node);
  const emitted = await referenceBackend.emit(node, candidate!, {
    view: () => undefined,
    outputView: () => undefined,
    symbol: (s) => (symbols.includes(s) ? symbols.indexOf(s) : symbols.push(s) - 1),
    constant: ({ tensor }) => {
      const offset = weights.length;
      weights = new Uint8Array(Buffer.concat([weights, tensor.bytes]));
      return { offset, bytes: tensor.bytes.length };
    },
  });
  const operand = { value: 0 };
  const step: PlanStep = {
    kernel: emitted.kernel,
    attributes: emitted.attributes,
    inputs: emitted.inputs.map(() => operand),
    outputs: emitted.outputs.map(() => operand),
    layer: { name: 'layer', kind: node.op, origins: [], tactic: 'reference' },
  };
  const executor = referenceBackend.createExecutor!({
    weights: (offset, bytes) => weights.subarray(offset, offset + bytes),
  });
  return { step: JSON.parse(JSON.stringify(step)) as PlanStep, executor, symbols };
}

async function bothWays(
  node: Node,
  inputs: readonly RuntimeValue[],
  known: ReadonlyMap<DimSymbol, number> = new Map(),
): Promise<void> {
  const { step, executor, symbols } = await planStep(node);
  const values = new Map([...known].map(([s, v]) => [symbols.indexOf(s), v]));
  const expected = evaluateNode(node, inputs, { symbols: new Map(known) });
  expect(await executor.run(step, inputs, { symbols: values })).toEqual(expected);
  expect(executor.runSync!(step, inputs, { symbols: values })).toEqual(expected);
}

test('is registered under its name', async () => {
  expect(await loadBackend('reference')).toBe(referenceBackend);
});

test('has the version of its package', () => {
  const { version: published } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(version).toBe(published);
});

test('attributes survive: infinities, negative zero, dims', async () => {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', [2]));
  const node = b.op('leakyRelu', [x], { alpha: -0 }).node;
  await bothWays(node, [new Tensor('float32', [-3, 4])]);
  const step = JSON.parse((await planStep(node)).step.attributes['node'] as string) as {
    attributes: Record<string, unknown>;
  };
  expect(step.attributes['alpha']).toEqual({ number: '-0' });
});

test('symbols of the plan are given to the operator', async () => {
  const b = new GraphBuilder();
  const found = b.op('nonZero', [b.input('x', tensorType('float32', [5]))]);
  const count = (found.type as TensorType).dims![1]!;
  const node = b.op('expand', [b.input('y', tensorType('float32', [1]))], { dims: [count] }).node;
  await bothWays(node, [new Tensor('float32', [7])], new Map([[asSymbol(count)!, 3]]));
});

test('a region keeps the symbols that its own nodes define', async () => {
  const b = new GraphBuilder();
  const body = b.input('x', tensorType('float32', [5]));
  const found = b.op('nonZero', [body]);
  const count: Dim = (found.type as TensorType).dims![1]!;
  const ones = b.op('expand', [b.constant(new Tensor('float32', [1, 2], [2, 1]))], { dims: [2, count] });
  const node = b.op('group', [b.input('x', tensorType('float32', [5]))], { kind: 'map' }, [
    { inputs: [body], outputs: [ones, found] },
  ]).node;
  await bothWays(node, [new Tensor('float32', [0, 1, 0, 1, 1])]);
  await bothWays(node, [new Tensor('float32', [0, 0, 0, 0, 0])]);
});

test('constants of regions lie in the weights, strings inline', async () => {
  const b = new GraphBuilder();
  const body = b.input('s', tensorType('string', [1]));
  const joined = b.op('concat', [body, b.constant(new Tensor('string', ['ü', ''], [2]))], { axis: 0 });
  const node = b.op('group', [b.input('s', tensorType('string', [1]))], { kind: 'movement' }, [
    { inputs: [body], outputs: [joined, b.constant(new Tensor('int64', [5n]))] },
  ]).node;
  await bothWays(node, [new Tensor('string', ['a'])]);
});

test('copy passes its operand on', async () => {
  const executor = referenceBackend.createExecutor!({ weights: () => new Uint8Array(0) });
  const step: PlanStep = {
    kernel: 'copy',
    attributes: {},
    inputs: [{ value: 0 }],
    outputs: [{ value: 1 }],
    layer: { name: '', kind: '', origins: [], tactic: '' },
  };
  const x = new Tensor('int8', [1, 2]);
  expect(await executor.run(step, [x], { symbols: new Map() })).toEqual([x]);
});

test('refuses what it cannot evaluate', () => {
  const b = new GraphBuilder();
  expect(referenceBackend.refuses(b.op('relu', [b.input('x', tensorType('float32', [1]))]).node)).toBeUndefined();
  expect(referenceBackend.refuses(b.input('x', tensorType('float32', [1])).node)).toMatch(/'input' has no evaluation/);
});
