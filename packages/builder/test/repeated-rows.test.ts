/** Operands of which only the run knows whether their rows are repeated, where a result is cut. */

import { test } from 'vitest';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

/** The second row of axis `axis`. */
function secondRow(m: ModelWriter, v: string, axis: number): string {
  const [starts, ends, axes] = [1, 2, axis].map((n) => m.weight(integers([n])));
  return m.node('Slice', [v, starts!, ends!, axes!]);
}

test('of a sum', async () => {
  const m = new ModelWriter();
  const [x, a] = [m.input('x', 'float32', [3, 4]), m.input('a', 'float32', ['n', 5])];
  const sum = m.node('Add', [m.node('MatMul', [x, m.weight(numbers([4, 5], 1))]), a]);
  const model = m.output(secondRow(m, sum, 0), 'float32', [1, 5]).bytes();
  await expectLikeOnnxRuntime(
    model,
    [1, 3].map((n) => ({ x: numbers([3, 4], 2), a: numbers([n, 5], 3) })),
  );
});

test('of attention', async () => {
  const m = new ModelWriter();
  const [q, k, v] = ['q', 'k', 'v'].map((name) => m.input(name, 'float32', [2, 2, 4, 8]));
  const mask = m.input('mask', 'float32', ['b', 1, 'n', 4]);
  const keys = m.node('Transpose', [k!], { perm: [0, 1, 3, 2] });
  const scores = m.node('Add', [m.node('MatMul', [q!, keys]), mask]);
  const weighted = m.node('MatMul', [m.node('Softmax', [scores], { axis: -1 }), v!]);
  const model = m.output(secondRow(m, weighted, 2), 'float32', [2, 2, 1, 8]).bytes();
  const runs = [1, 4].flatMap((n) => [1, 2].map((b) => ({ mask: numbers([b, 1, n, 4], 4, 3) })));
  const operands = { q: numbers([2, 2, 4, 8], 5), k: numbers([2, 2, 4, 8], 6), v: numbers([2, 2, 4, 8], 7) };
  await expectLikeOnnxRuntime(
    model,
    runs.map((run) => ({ ...operands, ...run })),
  );
});
