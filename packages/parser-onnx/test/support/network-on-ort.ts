/** Runs a network as the ONNX model it is written to, in ONNX Runtime. */

import { type Network, type RuntimeValue, Tensor } from '@tensorwright/core';
import { writeOnnx } from '@tensorwright/parser-onnx';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';

/** @returns a sentence when ONNX Runtime lacks something that the model needs */
export async function runOnOrt(
  network: Network,
  inputs: readonly (RuntimeValue | undefined)[],
): Promise<Tensor[] | string> {
  const bytes = writeOnnx(network);
  const feeds: Record<string, OrtTensor> = {};
  for (const [i, { name }] of network.inputs.entries()) {
    const value = inputs[i];
    if (!(value instanceof Tensor)) return 'no tensor';
    try {
      feeds[name] = new OrtTensor(value.dtype as never, value.data as never, [...value.dims]);
    } catch (error) {
      return String(error);
    }
  }
  try {
    const session = await InferenceSession.create(bytes, { logSeverityLevel: 4, graphOptimizationLevel: 'disabled' });
    const results = await session.run(feeds);
    return network.outputs.map(({ name }) => {
      const t = results[name]!;
      return new Tensor(t.type, t.data, t.dims);
    });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
