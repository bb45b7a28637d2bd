/** ONNX's conformance cases: unpacking, reading, and the rules by which outputs are compared. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { dtypeInfo, isBig, readNumbers, type RuntimeValue, Tensor } from '@tensorwright/core';

export interface ConformanceCase {
  readonly case: string;
  readonly set: string;
  readonly path: string;
  readonly ops: readonly string[];
  readonly inputs: readonly { name: string; type: string; file: string }[];
  readonly outputs: readonly { name: string; type: string; file: string }[];
  readonly flags: readonly string[];
  readonly rtol: number;
  readonly atol: number;
  readonly compare: 'values' | 'shape';
  readonly opset: Readonly<Record<string, number>>;
}

/** The cases of a data folder (index.json and archives), unpacked into a temporary folder that later runs use again. */
export function conformanceCases(folder: string): { root: string; cases: readonly ConformanceCase[] } | undefined {
  if (!existsSync(join(folder, 'index.json'))) return undefined;
  const root = join(tmpdir(), `tensorwright-${basename(folder)}`);
  if (!existsSync(root)) {
    const partial = `${root}.${process.pid}`;
    mkdirSync(partial, { recursive: true });
    for (const archive of readdirSync(folder).filter((f) => f.endsWith('.tar.gz')))
      execFileSync('tar', ['-xzf', join(folder, archive), '-C', partial]);
    try {
      renameSync(partial, root);
    } catch {
      rmSync(partial, { recursive: true }); // Another process was faster.
    }
  }
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as { cases: ConformanceCase[] };
  return { root, cases: index.cases };
}

/** The first difference between what was computed and what is expected; undefined when the case has passed. */
export function difference(
  got: RuntimeValue | undefined,
  want: RuntimeValue,
  c: ConformanceCase,
  place = 'output',
): string | undefined {
  if (got === undefined) return `${place}: missing`;
  if (want instanceof Tensor)
    return got instanceof Tensor ? tensorDifference(got, want, c, place) : `${place}: got a ${got.kind}, want a tensor`;
  if (got instanceof Tensor) return `${place}: got a tensor, want a ${want.kind}`;
  if (want.kind === 'sequence') {
    if (got.kind !== 'sequence') return `${place}: got a ${got.kind}, want a sequence`;
    if (got.items.length !== want.items.length)
      return `${place}: got ${got.items.length} items, want ${want.items.length}`;
    for (const [i, item] of want.items.entries()) {
      const d = difference(got.items[i], item, c, `${place}[${i}]`);
      if (d !== undefined) return d;
    }
    return undefined;
  }
  if (want.kind === 'optional') {
    if (got.kind !== 'optional') return `${place}: got a ${got.kind}, want an optional`;
    if (want.value === undefined || got.value === undefined)
      return want.value === got.value ? undefined : `${place}: one is empty`;
    return difference(got.value, want.value, c, place);
  }
  if (got.kind !== 'map') return `${place}: got a ${got.kind}, want a map`;
  for (const [key, value] of want.entries) {
    const d = difference(got.entries.get(key), value, c, `${place}[${key}]`);
    if (d !== undefined) return d;
  }
  return got.entries.size === want.entries.size
    ? undefined
    : `${place}: got ${got.entries.size} entries, want ${want.entries.size}`;
}

function tensorDifference(got: Tensor, want: Tensor, c: ConformanceCase, place: string): string | undefined {
  if (got.dtype !== want.dtype) return `${place}: got ${got.dtype}, want ${want.dtype}`;
  if (got.dims.join() !== want.dims.join())
    return `${place}: got [${got.dims.join(', ')}], want [${want.dims.join(', ')}]`;
  if (c.compare === 'shape') return undefined;
  const { class: kind } = dtypeInfo(want.dtype);
  if (kind === 'string' || isBig(want.dtype)) {
    const [g, w] = [got.data as ArrayLike<unknown>, want.data as ArrayLike<unknown>];
    for (let i = 0; i < w.length; i++) {
      if (g[i] === w[i]) continue;
      if (kind !== 'string' && Math.abs(Number(g[i]) - Number(w[i])) <= c.atol + c.rtol * Math.abs(Number(w[i])))
        continue;
      return `${place}[${i}]: got ${String(g[i])}, want ${String(w[i])}`;
    }
    return undefined;
  }
  const [g, w] =
    kind === 'complex'
      ? [got.data as ArrayLike<number>, want.data as ArrayLike<number>]
      : [readNumbers(got), readNumbers(want)];
  let worst = '';
  let count = 0;
  for (let i = 0; i < w.length; i++) {
    const [a, b] = [g[i]!, w[i]!];
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (Math.abs(a - b) <= c.atol + c.rtol * Math.abs(b) && Number.isFinite(b)) continue;
    if (count++ === 0) worst = `${place}[${i}]: got ${a}, want ${b}`;
  }
  return count === 0 ? undefined : `${worst} (${count} of ${w.length} differ)`;
}
