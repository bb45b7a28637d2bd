/**
 * What the pipeline makes of the model zoo: groups, attention and norms per model, and the movements left over. A rule
 * that stops matching an exporter's form shows here first. Weights play no part: their files are holes.
 */

import { finish, type Graph, topologicalOrder, type TensorType, formatDim } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import {
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { PassContext } from '../src/pass.js';
import { bindProfiles } from '../src/passes/import/bind-profiles.js';
import { pipeline } from '../src/pipeline.js';

const zoo = resolve(import.meta.dirname, '../../../../shared/models');
const names = existsSync(zoo)
  ? readdirSync(zoo)
      .filter((f) => f.endsWith('.weights.json'))
      .map((f) => f.slice(0, -'.weights.json'.length))
      .sort()
  : [];
const usual: Readonly<Record<string, number>> = { batch: 1, sequence: 128, height: 256, width: 256, past: 64 };

async function groupsOf(name: string): Promise<Record<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), 'tensorwright-groups-'));
  try {
    copyFileSync(join(zoo, `${name}.onnx`), join(folder, `${name}.onnx`));
    const { bytes } = JSON.parse(readFileSync(join(zoo, `${name}.weights.json`), 'utf8')) as { bytes?: number };
    const hole = openSync(join(folder, `${name}.bin`), 'w');
    ftruncateSync(hole, bytes ?? 0);
    closeSync(hole);
    const network = await OnnxParser.parseFile(join(folder, `${name}.onnx`));
    const profile = Object.fromEntries(
      network.inputs.map((i) => [
        i.name,
        (i.value.type as TensorType).dims!.map((d) => (typeof d === 'number' ? d : (usual[formatDim(d)] ?? 1))),
      ]),
    );
    const bound = finish(bindProfiles(network, [profile]));
    const context: PassContext = {
      builder: network.builder,
      options: {},
      backends: [],
      optimum: bound.optimum,
      log: () => undefined,
      breathe: () => Promise.resolve(),
    };
    let graph: Graph = bound.network.graph;
    for (const pass of pipeline) {
      const result = pass.run(graph, context);
      graph = 'next' in result ? finish(result) : result;
    }
    return count(graph);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function count(graph: Graph): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const node of topologicalOrder(graph)) {
    if (['input', 'constant', 'dims'].includes(node.op)) continue;
    const kind = node.op === 'group' ? `group ${node.attributes['kind'] as string}` : node.op;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe.skipIf(names.length === 0)('fused groups of the zoo (../shared/models)', () => {
  test.each(names)(
    '%s',
    async (name) => {
      await expect(`${JSON.stringify(await groupsOf(name), null, 1)}\n`).toMatchFileSnapshot(`zoo-groups/${name}.json`);
    },
    60_000,
  );
});
