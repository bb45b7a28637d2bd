/**
 * A detector's heads: what its last layers give before boxes are selected. Lists of detections change their order, and
 * which boxes they hold, at the last bit of a score; in 16 bits only the heads tell how exact a network is.
 */

import { Builder, type BuildOptions } from '@tensorwright/builder';
import type { Network, Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type FileNode, readModelFile, withOutputs } from '../../../cli/src/onnx/model-file.js';
import { normalisedError } from './compare.js';
import { openPeer } from './peer.js';

const contractions = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
const movements = new Set(['Reshape', 'Transpose', 'Concat', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity']);
/** What is left of their inputs depends on the values. */
const selections = new Set(['NonMaxSuppression', 'TopK', 'NonZero']);

export interface HeadError {
  readonly name: string;
  readonly nrms: number;
}

/**
 * Names of what contractions give, moved together and never selected from, with no such contraction behind it. None
 * where nothing is selected.
 */
export function headsOf(nodes: readonly FileNode[]): string[] {
  const selected = new Set<string>();
  /** Given by a contraction, and at most moved. */
  const given = new Set<string>();
  for (const { operator, inputs, outputs } of nodes) {
    const add = (names: Set<string>): void => {
      for (const name of outputs) names.add(name);
    };
    if (selections.has(operator) || inputs.some((name) => selected.has(name))) add(selected);
    else if (contractions.has(operator)) add(given);
    // Shapes are inputs too: the data come first, those of a concat all.
    else if (movements.has(operator) && (operator === 'Concat' ? inputs : inputs.slice(0, 1)).some((i) => given.has(i)))
      add(given);
  }
  if (selected.size === 0) return [];
  /** Read, at some distance, by a contraction of what was never selected from. */
  const passedOn = new Set<string>();
  /** Read by something that does not just move it. */
  const used = new Set<string>();
  for (const { operator, inputs, outputs } of [...nodes].reverse()) {
    if (operator === 'Shape') continue;
    const isContraction = contractions.has(operator) && outputs.every((name) => !selected.has(name));
    const leadsOn = isContraction || outputs.some((name) => passedOn.has(name));
    for (const name of inputs) {
      if (leadsOn) passedOn.add(name);
      if (!outputs.some((o) => given.has(o))) used.add(name);
    }
  }
  return nodes.flatMap((n) => n.outputs).filter((name) => given.has(name) && used.has(name) && !passedOn.has(name));
}

export interface HeadsModel {
  readonly heads: readonly string[];
  /** The part of the network that computes the heads, which are its outputs. */
  readonly network: Network;
  /** Runs `use` on a file of the whole model with the heads as further outputs, which is gone afterwards. */
  withFile<T>(use: (path: string) => Promise<T>): Promise<T>;
}

/** undefined for a model that selects nothing */
export async function headsModel(path: string): Promise<HeadsModel | undefined> {
  const file = readModelFile(await readFile(path), path);
  const heads = headsOf(file.nodes);
  if (heads.length === 0) return undefined;
  const added = heads.filter((name) => !file.outputs.includes(name));
  const changed = withOutputs(file, added);
  const whole = await OnnxParser.parse(changed, { externalDataFolder: dirname(path) });
  const outputs = whole.outputs.filter((o) => heads.includes(o.name));
  const graph = { inputs: whole.graph.inputs, outputs: outputs.map((o) => o.value) };
  return {
    heads,
    network: { ...whole, outputs, graph },
    withFile: async (use) => {
      // Weights in other files are looked for beside the model.
      const beside = join(dirname(path), `.tensorwright-heads-${String(process.pid)}.onnx`);
      try {
        await writeFile(beside, changed);
        return await use(beside);
      } finally {
        await rm(beside, { force: true });
      }
    },
  };
}

/** Builds and runs the heads as `options` say, and compares them with the peer's. null: the model has none. */
export async function compareHeads(
  path: string,
  options: BuildOptions,
  threads: number,
  inputs: Readonly<Record<string, Tensor>>,
): Promise<HeadError[] | null> {
  const model = await headsModel(path);
  if (!model) return null;
  const plan = await new Builder().build(model.network, options);
  await using engine = await Runtime.load(await plan.toBytes(), { threads });
  await using context = engine.createContext();
  const own = await context.run({ ...inputs });
  const peer = await model.withFile((file) => openPeer(file, threads));
  const wanted = await peer.run(inputs).finally(() => peer.release());
  return model.heads.map((name) => ({ name, nrms: normalisedError(own[name]!, wanted[name]!) }));
}
