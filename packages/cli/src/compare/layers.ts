/** Layer by layer: every tensor between the nodes of a model becomes an output, on both sides. */

import { nameMatcher, type Network } from '@tensorwright/core';
import type { EngineInspection } from '@tensorwright/runtime';
import type { FileNode, ModelFile } from '../onnx/model-file.js';
import type { Difference } from './difference.js';
import { sharedWithOnnxRuntime } from './onnxruntime-peer.js';

/** Names of the tensors between nodes that match one of the patterns; `*` matches any characters. */
export function tensorsToMark(file: ModelFile, patterns: readonly string[]): string[] {
  const matches = nameMatcher(patterns);
  const existing = new Set(file.outputs);
  return file.nodes
    .flatMap((node) => node.outputs)
    .filter((name) => name !== '' && !existing.has(name) && matches(name));
}

/** Marked outputs that both sides can give: tensors, of dtypes that the peer has. */
export function comparableMarks(network: Network, marks: readonly string[], onnxRuntime: boolean): string[] {
  const types = new Map(network.outputs.map((o) => [o.name, o.value.type]));
  return marks.filter((name) => {
    const type = types.get(name);
    return type?.kind === 'tensor' && (!onnxRuntime || sharedWithOnnxRuntime(type.dtype));
  });
}

export interface LayerDifference {
  readonly node: string;
  readonly operator: string;
  /** Where the node runs in our plan; absent for nodes without a step: folded ones, views. */
  readonly backend?: string;
  readonly tactic?: string;
  readonly difference: Difference;
  readonly inputs: readonly { readonly name: string; readonly nrms: number }[];
}

/** In the order of the model's nodes. */
export function layerDifferences(
  file: ModelFile,
  engine: EngineInspection,
  byName: ReadonlyMap<string, Difference>,
): LayerDifference[] {
  // Copies move what another step of the same nodes has computed: that one goes last, and stays in the map.
  const steps = [...engine.layers].sort((a, b) => Number(b.kernel === 'copy') - Number(a.kernel === 'copy'));
  const stepOf = new Map(steps.flatMap((layer) => layer.origins.map((origin) => [origin, layer] as const)));
  return file.nodes.flatMap((node) => {
    const step = stepOf.get(node.name);
    return node.outputs.flatMap((output) => {
      const difference = byName.get(output);
      if (!difference) return [];
      return [
        {
          node: node.name,
          operator: node.operator,
          ...(step && { backend: step.backend, tactic: step.tactic }),
          difference,
          inputs: inputsOf(node, byName),
        },
      ];
    });
  });
}

function inputsOf(node: FileNode, byName: ReadonlyMap<string, Difference>): { name: string; nrms: number }[] {
  return node.inputs.flatMap((name) => {
    const difference = byName.get(name);
    return difference ? [{ name, nrms: difference.nrms }] : [];
  });
}
