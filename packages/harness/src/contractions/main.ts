/**
 * node scripts/from-source.mjs packages/harness/src/contractions/main.ts [NAME …]
 * Times every candidate that the CUDA backend has for contractions of well-known networks (those whose name contains
 * one of the words; default: all) and sets the times against the models' estimates. One line of JSON for each shape.
 */

import { Builder } from '@tensorwright/builder';
import {
  canonicalJson,
  type Candidate,
  type DType,
  type Graph,
  GraphBuilder,
  loadBackend,
  type Network,
  registerBackend,
  tensorFromNumbers,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process, { argv, stderr, stdout } from 'node:process';
import { type Shape, shapes } from './shapes.js';

interface Timed {
  readonly tactic: string;
  readonly parameters: unknown;
  readonly estimate: number;
  readonly microseconds: number;
}

function networkOf(shape: Shape): Network {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType(shape.dtype, shape.x));
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return shape.dtype === 'int8' ? Math.round(state / 0x800000) - 128 : state / 0x40000000 - 1;
  };
  const constant = (dims: readonly number[], dtype: DType = shape.dtype): Value => {
    const numbers = Float64Array.from({ length: dims.reduce((p, d) => p * d, 1) }, random);
    return b.constant(tensorFromNumbers<DType>(dtype, numbers, dims));
  };
  const sumType = shape.dtype === 'int8' ? 'int32' : shape.dtype;
  const w = constant(shape.w);
  const y =
    shape.op === 'dot'
      ? b.op('add', [b.op('dot', [x, w], shape.attributes), constant([shape.w[1]!], sumType)])
      : b.op(shape.op, [x, w, constant([shape.w[0]!], sumType)], shape.attributes);
  return {
    name: shape.name,
    graph: { inputs: [x], outputs: [y] } satisfies Graph,
    builder: b,
    inputs: [{ name: 'x', value: x }],
    outputs: [{ name: 'y', value: y }],
    metadata: {},
    opsets: {},
  };
}

/** The times of all candidates, fastest first, by way of a timing cache of its own. */
async function time(shape: Shape, offered: ReadonlyMap<string, Candidate>): Promise<Timed[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorwright-times-'));
  try {
    await new Builder().build(networkOf(shape), {
      backends: ['cuda', 'cpu'],
      optimizationLevel: 5,
      timingCache: folder,
      logger: (record) => {
        if (record.level === 'warn') stdout.write(`# ${record.message}\n`);
      },
    });
    const files = (await readdir(folder, { recursive: true })).filter((f) => f.endsWith('.json'));
    const texts = await Promise.all(files.map((f) => readFile(join(folder, f), 'utf8')));
    return texts
      .flatMap((text) => Object.entries((JSON.parse(text) as { times: Record<string, number> }).times))
      .flatMap(([key, nanoseconds]) => {
        const { tactic, parameters } = JSON.parse(key) as { tactic: string; parameters: unknown };
        const candidate = offered.get(canonicalJson({ tactic, parameters }));
        return candidate
          ? [{ tactic, parameters, estimate: candidate.estimate, microseconds: nanoseconds / 1000 }]
          : [];
      })
      .sort((a, b) => a.microseconds - b.microseconds);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const words = argv.slice(2);
  const backend = await loadBackend('cuda');
  const offered = new Map<string, Candidate>();
  registerBackend({
    ...backend,
    candidates: (node) => {
      const all = backend.candidates(node);
      for (const c of all) offered.set(canonicalJson({ tactic: c.tactic, parameters: c.parameters }), c);
      return all;
    },
  });
  for (const shape of shapes) {
    if (words.length > 0 && !words.some((w) => shape.name.includes(w))) continue;
    offered.clear();
    const times = await time(shape, offered);
    const [best] = times;
    const foreseen = [...times].sort((a, b) => a.estimate - b.estimate)[0];
    const summary = {
      shape: shape.name,
      microseconds: best?.microseconds,
      teraflops: best && (2e-6 * shape.work) / best.microseconds,
      /** What trusting the estimates alone would cost. */
      foreseen: foreseen?.microseconds,
      candidates: times,
    };
    stdout.write(`${JSON.stringify(summary)}\n`);
  }
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
