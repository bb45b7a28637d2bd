/**
 * Kernel texts through the real compiler, where it is installed: every architecture takes them, no register is spilled
 * and no matrix instruction waits for another without need.
 */

import {
  type Candidate,
  type Dim,
  type EmitContext,
  type MemoryView,
  mulDims,
  type TensorType,
  viewGroup,
} from '@tensorwright/core';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { type Sample, samples } from './support/samples.js';

// The tactics offer what a device of capability 9.0 can do.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});
const texts: string[] = [];
vi.mock('../src/compile/compile.js', () => ({
  compile: (text: string) => {
    texts.push(text);
    return Promise.resolve(new Uint8Array(8));
  },
}));
const { tactics } = await import('../src/tactics/index.js');

const compiler = process.env['NVCC'] ?? 'nvcc';
const hasCompiler = spawnSync(compiler, ['--version']).status === 0;
if (!hasCompiler) process.stderr.write(`backend-cuda: no ${compiler}: kernel texts are not compiled for devices.\n`);

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-kernels-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function denseView({ dims }: TensorType, access: string | undefined): MemoryView {
  const axes = dims!.map((_, i) => i);
  const order = access === 'channelsLast' && axes.length > 2 ? [1, ...axes.slice(2).reverse(), 0] : axes.reverse();
  const strides: Dim[] = [];
  let stride: Dim = 1;
  for (const i of order) {
    strides[i] = stride;
    stride = mulDims(stride, dims![i]!);
  }
  return { offset: 0, dims: dims!, strides };
}

/** Operands with strides lie as the result does. */
function accessOf({ inputs, outputs }: Pick<Candidate, 'inputs' | 'outputs'>, i: number): string | undefined {
  return inputs[i] === 'strided' ? outputs[0] : inputs[i];
}

const everywhere = ['80', '86', '89', '90a', '120'];
const withClusters = ['90a', '120'];
const ofHopper = new Set([
  'hopper',
  'attentionHopper',
  'normalizedProduct',
  'deformProduct.warpgroups',
  'pooledStem.warpgroups',
]);

/** Those that can run a candidate. */
function architecturesOf({ tactic, parameters }: Candidate): readonly string[] {
  if (ofHopper.has(tactic)) return ['90a'];
  return parameters['cluster'] === 1 ? withClusters : everywhere;
}

interface Made {
  readonly text: string;
  readonly architectures: readonly string[];
}

/** The texts of the first candidate for the group of each tactic, or of each variant of one. */
async function textsOf({ result, tactics: names }: Sample): Promise<ReadonlyMap<string, Made>> {
  const group = viewGroup(result.node);
  const found = new Map<string, Made>();
  for (const name of names) {
    const [own, variant] = name.split('.');
    const tactic = tactics.find((t) => t.name === own)!;
    if (tactic.refuses(group) !== undefined) continue;
    const offered = tactic.candidates(group);
    const first = offered.find((c) => c.variant === variant) ?? offered[0]!;
    const candidate: Candidate = { ...first, tactic: name, producer: '' };
    const context: EmitContext = {
      view: (i) => denseView(group.node.inputs[i]!.type as TensorType, accessOf(first, i)),
      outputView: (i) => denseView(group.outputs[i]!.type as TensorType, first.outputs[i]),
      symbol: () => 0,
      constant: () => ({ offset: 0, bytes: 0 }),
    };
    texts.length = 0;
    await tactic.emit(group, candidate, context);
    for (const [i, text] of texts.entries())
      found.set(i === 0 ? name : `${name} ${String(i)}`, {
        text,
        architectures: architecturesOf(candidate),
      });
  }
  return found;
}

/** What is wrong with a text; empty when nothing is. */
async function complaints(name: string, { text, architectures }: Made): Promise<string> {
  const file = join(folder, `${name.replaceAll(' ', '-')}.cu`);
  writeFileSync(file, text);
  const options = [
    '-x',
    'cu',
    '-std=c++17',
    '-fatbin',
    '--threads',
    '2',
    '-Xptxas',
    '-v',
    '-o',
    `${file}.fatbin`,
    file,
  ];
  const targets = architectures.flatMap((a) => ['-gencode', `arch=compute_${a},code=sm_${a}`]);
  const { stdout, stderr } = await promisify(execFile)(compiler, [...targets, ...options]);
  const suspicious = /[1-9]\d* bytes spill|Potential Performance Loss|C75\d\d/;
  let target = '';
  return `${stdout}${stderr}`
    .split('\n')
    .flatMap((line) => {
      target = /for '(sm_\w+)'/.exec(line)?.[1] ?? target;
      return suspicious.test(line) ? [`${target}: ${line.trim()}`] : [];
    })
    .join('\n');
}

describe.skipIf(!hasCompiler)('kernel texts compile', { timeout: 120_000 }, () => {
  it.each(Object.keys(samples))('%s', async (name) => {
    const made = await textsOf(samples[name]!);
    expect(made.size).toBeGreaterThan(0);
    for (const [tactic, one] of made) expect.soft(await complaints(tactic, one), tactic).toBe('');
  });
});
