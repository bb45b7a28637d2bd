/** A plan of steps that libraries compute. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, registerBackend, Tensor } from '@tensorwright/core';
import { expect } from 'vitest';
import { cudaBackend } from '../../src/index.js';

/**
 * A convolution of cuDNN, a product of cuBLASLt, a loop and weights: all that is the device's own. From x, float32
 * [n, 8, 4, 4] with n from 1 to 64, to y, float32 [n, 16].
 */
export async function libraryPlan(): Promise<Uint8Array> {
  registerBackend({
    ...cudaBackend,
    candidates: (node, sources) => {
      const all = cudaBackend.candidates(node, sources);
      const ofLibraries = all.filter((c) => c.source !== undefined);
      return ofLibraries.length > 0 ? ofLibraries : all;
    },
  });
  const floats = (count: number, dims: readonly number[]): Tensor =>
    new Tensor(
      'float32',
      Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
      dims,
    );
  const network = new NetworkDefinition('everything');
  const image = network.addInput('x', 'float32', ['n', 8, 4, 4]);
  const w = network.addConstant(floats(16 * 72, [16, 8, 3, 3]));
  const pixels = network.addReduce(network.addConvolution(image, w), 'sum', [2, 3]);
  const product = network.addMatrixMultiply(pixels, 'none', network.addConstant(floats(256, [16, 16])), 'none');
  const tripCount = network.addConstant(new Tensor('int64', [3], []));
  const { carried } = network.addLoop({ tripCount, carried: [product] }, (it) => ({
    carried: [network.addElementWise(it.carried[0]!, it.carried[0]!, 'sum')],
  }));
  network.markOutput(carried[0]!, 'y');
  const profiles = [{ x: { min: [1, 8, 4, 4], opt: [2, 8, 4, 4], max: [64, 8, 4, 4] } }];
  const plan = await new Builder().build(network.toNetwork(), {
    backends: ['cuda', 'cpu'],
    optimizationLevel: 0,
    profiles,
  });
  const kernels = new Set(plan.header.program.steps.map((s) => s.kernel));
  for (const kernel of ['cudnn', 'cublaslt', 'launch', 'loop']) expect(kernels).toContain(kernel);
  return plan.toBytes();
}
