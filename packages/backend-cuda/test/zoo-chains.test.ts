/**
 * Steps of squeeze-excite and mobile networks, with every chain that the backend takes and without chains: what one step runs that
 * were several. Which of them a plan takes is decided by time. Weights play no part: their files are holes.
 */

import { type Backend, finish, type Graph, type Node, topologicalOrder, type TensorType } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import {
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chooseChains } from '../../builder/src/choose/chains.js';
import { TacticTimer } from '../../builder/src/choose/measure.js';
import type { PassContext } from '../../builder/src/pass.js';
import { bindProfiles } from '../../builder/src/passes/import/bind-profiles.js';
import { pipeline } from '../../builder/src/pipeline.js';
import { cudaBackend } from '../src/index.js';
import { hasDevice } from './compare.js';

const zoo = resolve(import.meta.dirname, '../../../../shared/models');

/** Every step takes as long as every other, so that fewer are faster. */
const backend: Backend = {
  ...cudaBackend,
  candidates: (node: Node) => cudaBackend.candidates(node).map((c) => ({ ...c, estimate: 1 })),
};

async function stepsOf(name: string, batch: number): Promise<{ before: number; after: Record<string, number> }> {
  const folder = mkdtempSync(join(tmpdir(), 'tensorwright-chains-'));
  try {
    copyFileSync(join(zoo, `${name}.onnx`), join(folder, `${name}.onnx`));
    const { bytes } = JSON.parse(readFileSync(join(zoo, `${name}.weights.json`), 'utf8')) as { bytes?: number };
    const hole = openSync(join(folder, `${name}.bin`), 'w');
    ftruncateSync(hole, bytes ?? 0);
    closeSync(hole);
    const network = await OnnxParser.parseFile(join(folder, `${name}.onnx`));
    const shapes = network.inputs.map((i) => [i.name, (i.value.type as TensorType).dims!] as const);
    const profile = Object.fromEntries(
      shapes.map(([input, dims]) => [input, dims.map((d) => (typeof d === 'number' ? d : batch))]),
    );
    const bound = finish(bindProfiles(network, [profile]));
    const context: PassContext = {
      builder: network.builder,
      options: { optimizationLevel: 0, precision: { fp16: true } },
      backends: [backend],
      optimum: bound.optimum,
      log: () => undefined,
      breathe: () => Promise.resolve(),
    };
    let graph: Graph = bound.network.graph;
    for (const pass of pipeline) {
      const result = pass.run(graph, context);
      graph = 'next' in result ? finish(result) : result;
    }
    const groups = (g: Graph): Node[] => topologicalOrder(g).filter((n) => n.op === 'group');
    const after: Record<string, number> = {};
    for (const node of groups(await chooseChains(graph, context, new TacticTimer(context)))) {
      const inner = topologicalOrder(node.regions[0]!).filter((n) => n.op === 'group').length;
      const kind = `${node.attributes['kind'] as string}${inner > 0 ? ` of ${String(inner)}` : ''}`;
      after[kind] = (after[kind] ?? 0) + 1;
    }
    return { before: groups(graph).length, after };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const isReady = hasDevice && existsSync(join(zoo, 'efficientnet_b0.onnx'));

describe.skipIf(!isReady)('chains of mobile networks', () => {
  it('mobilenet_v2', async () => {
    expect(await stepsOf('mobilenet_v2', 1)).toEqual({
      before: 55,
      after: {
        'contraction of 2': 1,
        contraction: 2,
        'invertedResidual of 2': 1,
        'invertedResidual of 3': 16,
        reduce: 1,
      },
    });
  });
});

describe.skipIf(!isReady)('chains of squeeze-excite networks', () => {
  it.each([1, 32])('efficientnet_b0, batch %i', async (batch) => {
    expect(await stepsOf('efficientnet_b0', batch)).toEqual({
      before: 116,
      after: { contraction: 2, 'contraction of 2': 17, 'excitation of 4': 1, 'excitation of 5': 15, reduce: 1 },
    });
  });
  it('mobilenet_v3_large', async () => {
    expect(await stepsOf('mobilenet_v3_large', 1)).toEqual({
      before: 82,
      after: {
        ...{ contraction: 3, 'contraction of 2': 9, 'excitation of 5': 8, reduce: 1 },
        ...{ 'invertedResidual of 2': 1, 'invertedResidual of 3': 6 },
      },
    });
  });
  it('regnet_y_400mf', async () => {
    expect(await stepsOf('regnet_y_400mf', 1)).toEqual({
      before: 120,
      after: { contraction: 37, 'contraction of 2': 17, 'excitation of 3': 16, reduce: 1 },
    });
  });
});

describe.skipIf(!isReady)('first convolutions that are pooled', () => {
  it.each(['resnet50', 'densenet121', 'squeezenet1_1', 'shufflenet_v2_x1_0'])('%s', async (name) => {
    expect((await stepsOf(name, 1)).after).toMatchObject({ 'pooledContraction of 3': 1 });
  });
});
