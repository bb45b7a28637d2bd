/** Scratch memory of kernels: what a context reserves is enough for runs on all of its threads and on one. */

import { loadNative, type PlanProgram } from '@tensorwright/native';
import { expect, test } from 'vitest';
import { counting, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();

const weightDims = [256, 576, 1, 1];
const attributes = {
  kernelShape: [1, 1],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [0, 0, 0, 0],
  group: 1,
  algorithm: 'nchw',
  packed: 1,
};

/** A product of 196 points, 256 outputs and 576 inputs: on one thread it needs more scratch memory than on two. */
function convolution(packed: number): PlanProgram {
  const b = new ProgramBuilder();
  const x = b.input('float32', [1, 576, 14, 14]);
  const w = b.input('uint8', [packed]);
  const y = b.heap('float32', [1, 256, 14, 14]);
  b.step('conv_f32', attributes, [x, w, null], [y]);
  return b.build([y]);
}

test('a context of several threads reserves what a run on one needs', async () => {
  const weights = await native.pack('conv.nchw', attributes, {
    dtype: 'float32',
    dims: weightDims,
    bytes: new Uint8Array(counting(weightDims).data.buffer),
  });
  const w = { dtype: 'uint8' as const, dims: [weights.length], data: weights };
  const reserved = [1, 2, 3, 4].map((threads) => {
    using program = native.createProgram(convolution(weights.length), null, { threads });
    using context = program.createContext();
    context.runSync([counting([1, 576, 14, 14]), w]);
    return context.memory().workspaceBytes;
  });
  // Where several need less than one, that one's is what all reserve.
  for (const bytes of reserved) expect(bytes).toBeGreaterThanOrEqual(reserved[0]!);
});
