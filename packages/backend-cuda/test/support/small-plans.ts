/** Plans of a few steps, as bytes. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';

export interface SmallPlan {
  readonly elements: number;
  readonly backends?: readonly string[];
  /** Bytes of weights. Default: 4. */
  readonly weightBytes?: number;
}

/** y = 2 (x + w), z = x + w: float32 vectors of so many elements; w is one number, or a vector of `weightBytes`. */
export async function smallPlan({
  elements,
  backends = ['cuda', 'cpu'],
  weightBytes = 4,
}: SmallPlan): Promise<Uint8Array> {
  const network = new NetworkDefinition('small');
  const x = network.addInput('x', 'float32', [elements]);
  const count = weightBytes / 4;
  const w = network.addConstant(new Tensor('float32', new Float32Array(count).fill(1), [count]));
  const z = network.addElementWise(x, w, 'sum');
  network.markOutput(network.addElementWise(z, z, 'sum'), 'y');
  network.markOutput(z, 'z');
  const plan = await new Builder().build(network.toNetwork(), { backends, optimizationLevel: 0 });
  return plan.toBytes();
}
