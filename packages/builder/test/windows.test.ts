/** Cyclic shifts, windows and merged patches, as exporters write them: one step each, and residuals that read turned. */

import { OnnxParser } from '@tensorwright/parser-onnx';
import { describe, expect, test } from 'vitest';
import { Builder } from '../src/index.js';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

const channels = 8;
const window = 3;
const [down, across] = [2, 4];
const [height, width] = [down * window, across * window];

class Blocks extends ModelWriter {
  reshape(v: string, dims: readonly number[]): string {
    return this.node('Reshape', [v, this.weight(integers(dims))]);
  }

  part(v: string, axis: number, start: number, end: number, step = 1): string {
    return this.node('Slice', [v, ...[[start], [end], [axis], [step]].map((list) => this.weight(integers(list)))]);
  }

  /** torch.roll along both axes of an image whose channels lie last. */
  roll(v: string, by: number): string {
    let x = v;
    for (const [axis, extent] of [
      [1, height],
      [2, width],
    ] as const) {
      const at = (extent - by) % extent;
      x = this.node('Concat', [this.part(x, axis, at, extent), this.part(x, axis, 0, at)], { axis });
    }
    return x;
  }

  linear(v: string, seed: number): string {
    return this.node('MatMul', [v, this.weight(numbers([channels, channels], seed, 0.5))]);
  }

  windows(v: string): string {
    const cut = this.reshape(v, [-1, down, window, across, window, channels]);
    return this.reshape(this.node('Transpose', [cut], { perm: [0, 1, 3, 2, 4, 5] }), [-1, window * window, channels]);
  }

  /** The image of these windows. */
  image(v: string): string {
    const cut = this.reshape(v, [-1, down, across, window, window, channels]);
    return this.reshape(this.node('Transpose', [cut], { perm: [0, 1, 3, 2, 4, 5] }), [-1, height, width, channels]);
  }

  /** Each position meets its window: what stands for attention here is a mean over it. */
  block(x: string, shift: number, seed: number): string {
    const shifted = shift === 0 ? x : this.roll(x, -shift);
    const rows = this.linear(this.windows(shifted), seed);
    const mean = this.node('ReduceMean', [rows], { axes: [1], keepdims: 1 });
    const mixed = this.image(this.linear(this.node('Add', [rows, mean]), seed + 1));
    return this.node('Add', [x, shift === 0 ? mixed : this.roll(mixed, shift)]);
  }

  merged(x: string): string {
    const phases = [0, 1].flatMap((j) => [0, 1].map((i) => this.part(this.part(x, 1, i, height, 2), 2, j, width, 2)));
    const w = this.weight(numbers([4 * channels, 5], 9, 0.5));
    return this.node('MatMul', [this.node('Concat', phases, { axis: -1 }), w]);
  }
}

function shiftedWindows(batch: number | string): Uint8Array {
  const m = new Blocks();
  const x = m.input('x', 'float32', [batch, height, width, channels]);
  const y = m.merged(m.block(m.block(x, 0, 1), 1, 5));
  return m.output(y, 'float32').bytes();
}

describe.each([1, 3])('of %i images', (batch) => {
  test('shifted windows and merged patches', async () => {
    const model = shiftedWindows(batch);
    await expectLikeOnnxRuntime(model, [{ x: numbers([batch, height, width, channels], 5) }]);
    const network = await OnnxParser.parse(model);
    const plan = await new Builder().build(network, { backends: ['cpu'], optimizationLevel: 0 });
    const kernels = plan.header.program.steps.map((s) => s.kernel);
    // The shift and its windows, the way back, the merged patches.
    expect(kernels.filter((k) => k === 'gather')).toHaveLength(3);
    // The windows that are not shifted: the way back is read turned.
    expect(kernels.filter((k) => k === 'copy').length).toBeLessThanOrEqual(1);
  });
});

test.each([
  ['lines', 1],
  ['columns', 2],
  ['channels, which are no rows', 3],
] as const)('shifts of %s', async (_, axis) => {
  const m = new Blocks();
  const extents = [2, height, width, 2 * channels];
  const x = m.input('x', 'float32', extents);
  const y = m.node('Concat', [m.part(x, axis, 1, extents[axis]!), m.part(x, axis, 0, 1)], { axis });
  const model = m.output(m.node('Relu', [y]), 'float32').bytes();
  await expectLikeOnnxRuntime(model, [{ x: numbers(extents, 5) }]);
});

test('halves of rows that change places', async () => {
  const m = new Blocks();
  const x = m.input('x', 'float32', [3, 5, 2 * channels]);
  const low = m.part(x, 2, 0, channels);
  const high = m.part(x, 2, channels, 2 * channels);
  const swapped = m.node('Concat', [high, low], { axis: 2 });
  const picked = m.node('Gather', [swapped, m.weight(integers([3, 0, -1]))], { axis: 1 });
  const model = m.output(m.node('Transpose', [picked], { perm: [0, 2, 1] }), 'float32').bytes();
  await expectLikeOnnxRuntime(model, [{ x: numbers([3, 5, 2 * channels], 5) }]);
});

test('of a number of images that is known at run time', async () => {
  const runs = [1, 2, 3].map((batch) => ({ x: numbers([batch, height, width, channels], 5) }));
  await expectLikeOnnxRuntime(shiftedWindows('batch'), runs, {
    profiles: [
      {
        x: {
          min: [1, height, width, channels],
          opt: [2, height, width, channels],
          max: [4, height, width, channels],
        },
      },
    ],
  });
});
