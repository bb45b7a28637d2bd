/** Networks as ONNX models. */

import { type Network, TensorwrightError } from '@tensorwright/core';
import { onnx } from '../proto/decode.js';
import { GraphWriter, type ModelWriting } from './graph-writer.js';

/** Operator sets of written models besides ai.onnx. */
const otherOpsets: Readonly<Record<string, number>> = { 'ai.onnx.ml': 4, 'com.microsoft': 1 };
/** The oldest opset that has what is common: readers of many ages understand it. */
const oldestOpset = 21;

/** The file format that came with an opset. */
function irVersionOf(opset: number): number {
  return opset >= 25 ? 13 : opset === 24 ? 12 : opset === 23 ? 11 : 10;
}

/** protobuf's own limit. */
const maxModelBytes = 2 ** 31 - 1;

/**
 * Writes a network as an ONNX model (opset 21, or newer where an operator or dtype needs it) that computes the same; extents that are expressions are computed from shapes.
 * @throws ERR_UNSUPPORTED for what ONNX cannot express (fused groups, for one), ERR_LIMIT_EXCEEDED beyond 2 GiB
 */
export function writeOnnx(network: Network): Uint8Array {
  const taken = new Map<string, number>();
  const reserved = new Set([...network.inputs, ...network.outputs].map((v) => v.name));
  const model: ModelWriting = {
    network,
    opset: oldestOpset,
    domains: new Set(['']),
    fresh: (stem) => {
      for (;;) {
        const count = taken.get(stem) ?? 0;
        taken.set(stem, count + 1);
        const name = count === 0 ? stem : `${stem}.${count}`;
        if (!reserved.has(name) && (count === 0 || !taken.has(name))) {
          taken.set(name, taken.get(name) ?? 1);
          return name;
        }
      }
    },
  };
  const graph = new GraphWriter(model);
  for (const { name, value } of network.inputs) graph.bind(value, name);
  graph.write(network.graph);
  const proto = graph.finish(
    network.name === '' ? 'network' : network.name,
    network.inputs.map(({ name, value }) => ({ name, type: value.type })),
    network.outputs,
  );
  return encode(network, proto, model);
}

function encode(network: Network, graph: onnx.GraphProto.$Properties, model: ModelWriting): Uint8Array {
  const size = graph.initializer?.reduce((sum, t) => sum + (t.rawData?.length ?? 0), 0) ?? 0;
  if (size > maxModelBytes) {
    throw new TensorwrightError(
      'ERR_LIMIT_EXCEEDED',
      `writing ONNX: the constants take ${size} bytes, a model file at most ${maxModelBytes}`,
      { bytes: size },
    );
  }
  try {
    return onnx.ModelProto.encode({
      irVersion: irVersionOf(model.opset),
      producerName: 'tensorwright',
      opsetImport: [...model.domains].map((domain) => ({
        domain,
        version: domain === '' ? model.opset : (otherOpsets[domain] ?? 1),
      })),
      graph,
      metadataProps: Object.entries(network.metadata).map(([key, value]) => ({ key, value })),
    }).finish();
  } catch (cause) {
    throw new TensorwrightError(
      'ERR_UNSUPPORTED',
      `writing ONNX: ${cause instanceof Error ? cause.message : String(cause)}`,
      {},
      { cause },
    );
  }
}
