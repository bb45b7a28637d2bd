/** ONNX Runtime on the same file: a development dependency, loaded only when asked for. */

import { type DType, Tensor } from '@tensorwright/core';

export interface Peer {
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

export async function openPeer(path: string, threads: number): Promise<Peer> {
  const ort = await import('onnxruntime-node');
  const session = await ort.InferenceSession.create(path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    logSeverityLevel: 3,
  });
  return {
    async run(inputs) {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, t]) => [
          name,
          new ort.Tensor(t.dtype as 'float32', t.data as Float32Array, [...t.dims]),
        ]),
      );
      const results = await session.run(feeds);
      return Object.fromEntries(
        Object.entries(results).map(([name, t]) => [name, new Tensor(t.type as DType, t.data as Float32Array, t.dims)]),
      );
    },
    release: () => session.release(),
  };
}
