/** Values between steps: views, memory in other orders, strings and sequences; and steps that fail. */

import { GraphBuilder, type RuntimeValue, Tensor, tensorType } from '@tensorwright/core';
import { describe, expect, test } from 'vitest';
import { Runtime } from '../src/index.js';
import { handMade, planBytes } from './support/hand-made.js';

const numbers = (t: Tensor | undefined): number[] => [...(t!.data as Float32Array)];

describe('operands', () => {
  async function run(edit: Parameters<typeof handMade>[1]['edit'], order?: readonly number[]): Promise<number[]> {
    const b = new GraphBuilder();
    const input = b.input('x', tensorType('float32', [2, 3]));
    const middle = b.op('neg', [input]);
    const out = b.op('neg', [b.op('abs', [middle])]);
    const made = await handMade(
      { inputs: [input], outputs: [out] },
      {
        inputs: ['x'],
        outputs: ['y'],
        edit: (p) => {
          if (order) p.values[1] = { ...p.values[1]!, order };
          edit?.(p);
        },
      },
    );
    await using e = await Runtime.load(planBytes(made));
    await using c = e.createContext();
    return numbers((await c.run({ x: new Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]) }))['y']);
  }
  const number = (p: { expressions: unknown[] }, n: number): number => p.expressions.push([n]) - 1;

  test('a strided view is read densely', async () => {
    // The second step reads the first one's [2, 3] backwards.
    const y = await run((p) => {
      const { inputs, ...step } = p.steps[1]!;
      p.steps[1] = {
        ...step,
        inputs: [
          {
            value: inputs[0]!.value,
            offset: number(p, 5),
            dims: [number(p, 2), number(p, 3)],
            strides: [number(p, -3), number(p, -1)],
          },
        ],
      };
    });
    expect(y).toEqual([-6, -5, -4, -3, -2, -1]);
  });

  test('a view counts in memory, whatever the order of the axes', async () => {
    const y = await run(
      (p) => {
        const { inputs, ...step } = p.steps[1]!;
        // Columns first in memory: 1 4 2 5 3 6.
        p.steps[1] = {
          ...step,
          inputs: [
            { value: inputs[0]!.value, dims: [number(p, 2), number(p, 3)], strides: [number(p, 3), number(p, 1)] },
          ],
        };
      },
      [1, 0],
    );
    expect(y).toEqual([-1, -4, -2, -5, -3, -6]);
  });

  test('a value is written in pieces', async () => {
    const y = await run((p) => {
      const abs = p.steps[1]!;
      const whole = abs.outputs[0]!.value;
      const row = (i: number) => ({
        offset: number(p, i * 3),
        dims: [number(p, 1), number(p, 3)],
        strides: [number(p, 3), number(p, 1)],
      });
      const source = abs.inputs[0]!.value;
      const copy = (to: number, from: number) => ({
        ...abs,
        kernel: 'copy',
        attributes: {},
        inputs: [{ value: source, ...row(from) }],
        outputs: [{ value: whole, ...row(to) }],
      });
      // Swaps the rows.
      p.steps.splice(1, 1, copy(0, 1), copy(1, 0));
    });
    expect(y).toEqual([4, 5, 6, 1, 2, 3]);
  });

  test('a view that leaves its value is refused', async () => {
    await expect(
      run((p) => {
        const { inputs, ...step } = p.steps[1]!;
        p.steps[1] = {
          ...step,
          inputs: [
            { value: inputs[0]!.value, dims: [number(p, 2), number(p, 3)], strides: [number(p, 4), number(p, 1)] },
          ],
        };
      }),
    ).rejects.toMatchObject({
      code: 'ERR_INVALID_PLAN',
      message: expect.stringContaining('reaches from element 0 to 6 of a value with 6'),
    });
  });
});

describe('values that are no numbers', () => {
  test('strings, inputs and constants', async () => {
    const b = new GraphBuilder();
    const s = b.input('s', tensorType('string', [2]));
    const tail = b.constant(new Tensor('string', ['!', '?']));
    const made = await handMade(
      { inputs: [s], outputs: [b.op('concat', [s, tail], { axis: 0 })] },
      { inputs: ['s'], outputs: ['out'] },
    );
    await using e = await Runtime.load(planBytes(made));
    await using c = e.createContext();
    expect((await c.run({ s: new Tensor('string', ['a', 'b']) }))['out']!.data).toEqual(['a', 'b', '!', '?']);
  });

  test('sequences', async () => {
    const b = new GraphBuilder();
    const s = b.input('s', { kind: 'sequence', element: tensorType('float32', [2]) });
    const made = await handMade(
      { inputs: [s], outputs: [b.op('sequenceLength', [s]), s] },
      { inputs: ['s'], outputs: ['length', 'same'] },
    );
    await using e = await Runtime.load(planBytes(made));
    await using c = e.createContext();
    const items = [new Tensor('float32', [1, 2]), new Tensor('float32', [3, 4])];
    const results = await c.run<RuntimeValue>({ s: { kind: 'sequence', items } });
    expect((results['length'] as Tensor).data).toEqual(new BigInt64Array([2n]));
    expect(results['same']).toEqual({ kind: 'sequence', items });
    await expect(c.run({ s: items[0]! })).rejects.toMatchObject({
      code: 'ERR_DTYPE_MISMATCH',
      message: expect.stringMatching(/expected sequence\(float32\[2\]\), received a tensor/),
    });
  });
});

describe('failing steps', () => {
  test('are named as in the model', async () => {
    const b = new GraphBuilder();
    const input = b.input('x', tensorType('float32', [2]));
    const indices = b.input('i', tensorType('int64', [1]));
    const made = await handMade(
      { inputs: [input, indices], outputs: [b.op('gather', [input, indices], { axis: 0 })] },
      { inputs: ['x', 'i'], outputs: ['y'] },
    );
    await using e = await Runtime.load(planBytes(made));
    await using c = e.createContext();
    await expect(c.run({ x: new Tensor('float32', [1, 2]), i: new Tensor('int64', [7n]) })).rejects.toMatchObject({
      code: 'ERR_VALUE',
      message: expect.stringMatching(/^layer 'gather_0': /),
      details: { origins: ['/gather'] },
    });
  });
});
