/** Sizes that models compute in floats, from extents that the profile fixes: the plan knows them, and nothing counts. */

import { Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { expect, test } from 'vitest';
import { Builder } from '../src/index.js';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

const [floats, longs] = [1, 7];

/** The image scaled to a height of 20, and padded to multiples of 8, as detectors prepare theirs. */
function model(): Uint8Array {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [1, 3, 'height', 'width']);
  const number = (value: number): string => m.weight(new Tensor('float32', [value], [1]));
  const extent = (v: string, axis: number): string =>
    m.node('Gather', [m.node('Shape', [v]), m.weight(integers([axis]))], { axis: 0 });
  const asFloat = (v: string): string => m.node('Cast', [v], { to: floats });
  const scale = m.node('Div', [number(20), asFloat(extent(x, 2))]);
  const scales = m.node('Concat', [number(1), number(1), scale, scale], { axis: 0 });
  const resized = m.node('Resize', [x, '', scales], { mode: 'linear', coordinate_transformation_mode: 'half_pixel' });
  const lack = (axis: number): string => {
    const own = asFloat(extent(resized, axis));
    const whole = m.node('Mul', [m.node('Ceil', [m.node('Div', [own, number(8)])]), number(8)]);
    return m.node('Cast', [m.node('Sub', [whole, own])], { to: longs });
  };
  const none = m.weight(integers([0, 0, 0, 0, 0, 0]));
  const pads = m.node('Concat', [none, lack(2), lack(3)], { axis: 0 });
  return m.output(m.node('Pad', [resized, pads]), 'float32').bytes();
}

test.each([
  [10, 12],
  [40, 64],
  [20, 32],
])('of images of %i by %i', async (height, width) => {
  const bytes = model();
  const extents = [1, 3, height, width];
  const options = { profiles: [{ x: { min: extents, opt: extents, max: extents } }] };
  await expectLikeOnnxRuntime(bytes, [{ x: numbers(extents, 3) }], options);
  const network = await OnnxParser.parse(bytes);
  const plan = await new Builder().build(network, { backends: ['cpu', 'reference'], optimizationLevel: 0, ...options });
  const { values, steps } = plan.header.program;
  expect(values.filter((v) => v.storage.kind === 'heap' || v.binds !== undefined)).toEqual([]);
  expect(steps.map((s) => s.kernel)).not.toContain('padDynamic');
});
