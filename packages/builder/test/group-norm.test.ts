/** Group norms as exporters write them: an instance norm over groups in the place of channels, then factor and shift. */

import { Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { describe, expect, test } from 'vitest';
import { Builder } from '../src/index.js';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

const [channels, height, width] = [12, 5, 7];

interface Form {
  readonly groups: number;
  readonly batch: number | string;
  /** Of the factor and the shift. Default: [channels, 1, 1]. */
  readonly parameterDims?: readonly number[];
  /** Factors and shifts of the groups themselves. Default: 1 and 0. */
  readonly own?: boolean;
}

function model({ groups, batch, parameterDims = [channels, 1, 1], own = false }: Form): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [batch, channels, height, width]);
  const grouped = m.node('Reshape', [x, m.weight(integers([0, groups, -1]))]);
  const of = (value: number, seed: number): string =>
    m.weight(own ? numbers([groups], seed) : new Tensor('float32', new Float32Array(groups).fill(value), [groups]));
  const normal = m.node('InstanceNormalization', [grouped, of(1, 3), of(0, 4)]);
  const y = m.node('Reshape', [normal, m.weight(integers([-1, channels, height, width]))]);
  const scaled = m.node('Mul', [y, m.weight(numbers([...parameterDims], 1))]);
  const shifted = m.node('Add', [m.weight(numbers([...parameterDims], 2)), scaled]);
  return m.output(m.node('Mul', [shifted, m.node('Sigmoid', [shifted])]), 'float32').bytes();
}

async function expectGroupNorm(form: Form): Promise<void> {
  const bytes = model(form);
  const extents = (batch: number): number[] => [batch, channels, height, width];
  const batches = typeof form.batch === 'number' ? [form.batch] : [1, 3, 4];
  const options =
    typeof form.batch === 'number' ? {} : { profiles: [{ x: { min: extents(1), opt: extents(2), max: extents(4) } }] };
  await expectLikeOnnxRuntime(
    bytes,
    batches.map((batch) => ({ x: numbers(extents(batch), 5) })),
    options,
  );
  const network = await OnnxParser.parse(bytes);
  const plan = await new Builder().build(network, { backends: ['cpu'], optimizationLevel: 0, ...options });
  expect(plan.header.program.steps.map((s) => s.kernel)).toEqual(['groupNorm', 'map']);
}

describe('groups of channels', () => {
  test.each([1, 3, 6, 12])('%i of them', (groups) => expectGroupNorm({ groups, batch: 2 }));
  test('of a number of images that is known at run time', () => expectGroupNorm({ groups: 4, batch: 'batch' }));
  test('with parameters of their own', () => expectGroupNorm({ groups: 4, batch: 2, own: true }));
  test('with parameters of the rank of the image', () =>
    expectGroupNorm({ groups: 4, batch: 1, parameterDims: [1, channels, 1, 1] }));
});

test.each([[[channels, 1, width]], [[1, 1, width]], [[1]]])(
  'what is no parameter of channels stays: %j',
  async (dims) => {
    const bytes = model({ groups: 4, batch: 2, parameterDims: dims });
    await expectLikeOnnxRuntime(bytes, [{ x: numbers([2, channels, height, width], 5) }]);
  },
);
