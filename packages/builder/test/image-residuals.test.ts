/** Linear layers on images with their channels last: what they are added to joins the product, however it is named. */

import { OnnxParser } from '@tensorwright/parser-onnx';
import { describe, expect, test } from 'vitest';
import { Builder } from '../src/index.js';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, numbers } from './support/whole-path.js';

const channels = 12;
const [height, width] = [5, 7];

/** A convolution that makes small images, and blocks that add a linear layer of a depthwise convolution to them. */
function blocks(batch: number, count: number, { activated = false, turned = false } = {}): Uint8Array {
  const m = new ModelWriter();
  const image = m.input('image', 'float32', [batch, 3, height * 2, width * 2]);
  const patches = m.node('Conv', [image, m.weight(numbers([channels, 3, 2, 2], 1))], { strides: [2, 2] });
  let x = activated ? m.node('Relu', [patches]) : patches;
  for (let i = 0; i < count; i++) {
    const seed = 10 * i + 2;
    const mixed = m.node('Conv', [x, m.weight(numbers([channels, 1, 3, 3], seed))], {
      pads: [1, 1, 1, 1],
      group: channels,
    });
    const last = m.node('Transpose', [mixed], { perm: [0, 2, 3, 1] });
    const product = m.node('MatMul', [last, m.weight(numbers([channels, channels], seed + 1, 0.5))]);
    const scaled = m.node('Mul', [product, m.weight(numbers([channels], seed + 2))]);
    const first = m.node('Transpose', [scaled], { perm: [0, 3, 1, 2] });
    x = m.node('Add', i % 2 === 0 ? [first, x] : [x, first]);
  }
  const y = turned ? x : m.node('GlobalAveragePool', [x]);
  return m.output(y, 'float32').bytes();
}

async function kernelsOf(model: Uint8Array): Promise<string[]> {
  const network = await OnnxParser.parse(model);
  const plan = await new Builder().build(network, { backends: ['cpu'], optimizationLevel: 0 });
  return plan.header.program.steps.map((s) => s.kernel);
}

describe.each([1, 3])('of %i images', (batch) => {
  test.each([
    ['of a convolution', {}],
    ['of an activated convolution', { activated: true }],
  ])('residuals %s leave no map of their own', async (_, form) => {
    const model = blocks(batch, 3, form);
    await expectLikeOnnxRuntime(model, [{ image: numbers([batch, 3, height * 2, width * 2], 5) }]);
    expect(await kernelsOf(model)).not.toContain('map');
  });

  test('an output with its channels first is computed once', async () => {
    const model = blocks(batch, 1, { turned: true });
    await expectLikeOnnxRuntime(model, [{ image: numbers([batch, 3, height * 2, width * 2], 5) }]);
    expect((await kernelsOf(model)).length).toBeLessThanOrEqual(5);
  });
});
