/** Runs a small graph through builder, plan and runtime on the CUDA backend, and compares with the reference backend. */

import { Builder } from '@tensorwright/builder';
import {
  type Candidate,
  createSymbol,
  type Dim,
  type DType,
  dtypeInfo,
  elementCount,
  type Graph,
  GraphBuilder,
  isBig,
  type Network,
  readNumbers,
  registerBackend,
  symbolDim,
  Tensor,
  tensorFromNumbers,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { expect, vi } from 'vitest';
import { cudaBackend } from '../src/index.js';

// Compiling takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

export const hasDevice: boolean = cudaBackend.device() !== undefined;

export interface Input {
  readonly dtype: DType;
  readonly dims: readonly number[];
  /** Default: even numbers between -1 and 1, integers between -100 and 100. */
  readonly fill?: (i: number) => number;
  /** Names of extents that are only known at run time; the same name is the same extent, at most 96. Default: all are known. */
  readonly symbols?: readonly (string | undefined)[];
}

export interface Comparison {
  readonly inputs: readonly Input[];
  readonly graph: (b: GraphBuilder, ...inputs: Value[]) => Value | readonly Value[];
  /** The smallest that extents of a name may be. Default: 0. */
  readonly least?: number;
  /** Of the largest element of the expected output. Default: by the output's dtype. */
  readonly tolerance?: number;
  /** Which candidates may be chosen. Default: all. */
  readonly pick?: (candidate: Candidate) => boolean;
  /** Parameters that replace those of the tactic `tactic`, which then takes no time by its estimate. */
  readonly force?: { readonly tactic: string; readonly parameters: Readonly<Record<string, number>> };
  /** What comes out. Default: what the reference backend computes. */
  readonly expected?: readonly Tensor[];
  /** Only runs it: what the reference refuses. Default: no. */
  readonly unchecked?: boolean;
  /** Tactics of the plan's steps, without transfers and copies. Default: any. */
  readonly steps?: readonly string[];
}

const tolerances: Partial<Record<DType, number>> = { float32: 2e-6, float16: 1e-3, bfloat16: 8e-3, float64: 1e-13 };

let forced: Comparison['force'];
let forcedAny = false;
let picked: Comparison['pick'];

registerBackend({
  ...cudaBackend,
  candidates: (node) => {
    const offered = cudaBackend.candidates(node);
    const wanted = picked ? offered.filter(picked) : offered;
    const all = wanted.length > 0 ? wanted : offered;
    const [first] = all.filter((c) => forced && c.tactic.startsWith(forced.tactic));
    if (!first || !forced) return all;
    forcedAny = true;
    return [{ ...first, parameters: { ...first.parameters, ...forced.parameters }, estimate: 0 }];
  },
});

/** Fails where an output is not within the tolerance, or where the CUDA backend does not take every operator. */
export async function compare(comparison: Comparison): Promise<void> {
  const wanted = comparison.expected ?? (comparison.unchecked === true ? [] : await run(comparison, 'reference'));
  forced = comparison.force;
  picked = comparison.pick;
  forcedAny = false;
  const got = await run(comparison, 'cuda');
  forced = undefined;
  picked = undefined;
  expect(forcedAny, 'a candidate to change').toBe(comparison.force !== undefined);
  wanted.forEach((w, i) => {
    expectClose(got[i]!, w, comparison.tolerance ?? tolerances[w.dtype] ?? 0);
  });
}

async function run({ inputs, graph, least = 0, steps }: Comparison, backend: string): Promise<Tensor[]> {
  const b = new GraphBuilder();
  const known = new Map<string, Dim>();
  const symbol = (name: string): Dim => {
    if (!known.has(name)) known.set(name, symbolDim(createSymbol(name, { min: least, max: 96 })));
    return known.get(name)!;
  };
  const values = inputs.map(({ dtype, dims, symbols }, i) => {
    const extents = dims.map((d, axis) => (symbols?.[axis] === undefined ? d : symbol(symbols[axis])));
    return b.input(`x${String(i)}`, tensorType(dtype, extents));
  });
  const made = graph(b, ...values);
  const outputs = Array.isArray(made) ? (made as readonly Value[]) : [made as Value];
  const used = values.map((value, i) => ({ name: `x${String(i)}`, value }));
  const network = {
    name: 'test',
    graph: { inputs: values, outputs } satisfies Graph,
    builder: b,
    inputs: used,
    outputs: outputs.map((value, i) => ({ name: `y${String(i)}`, value })),
    metadata: {},
    opsets: {},
  } as unknown as Network;
  // The CPU brings inputs into a dense order on the host.
  const backends = backend === 'cuda' ? ['cuda', 'cpu'] : [backend];
  const plan = await new Builder().build(network, { backends, optimizationLevel: 0 });
  expect(plan.header.report.fallbacks).toEqual([]);
  const tactics = plan.header.program.steps.map((s) => s.layer.tactic).filter((t) => t.startsWith('cuda.'));
  if (backend === 'cuda' && steps) expect(tactics).toEqual(steps);
  const engine = await Runtime.load(await plan.toBytes());
  const context = engine.createContext();
  try {
    const result = await context.run(Object.fromEntries(inputs.map((input, i) => [`x${String(i)}`, dataOf(input, i)])));
    return outputs.map((_, i) => result[`y${String(i)}`]!);
  } finally {
    await context.close();
    await engine.close();
  }
}

function dataOf({ dtype, dims, fill }: Input, seed: number): Tensor {
  const { class: kind } = dtypeInfo(dtype);
  let state = 12345 + seed * 7919;
  const random = (): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
  const usual = (): number =>
    kind === 'float' ? random() * 2 - 1 : kind === 'bool' ? Math.round(random()) : Math.round(random() * 200 - 100);
  const count = elementCount(dims);
  if (isBig(dtype))
    return new Tensor(
      dtype,
      BigInt64Array.from({ length: count }, (_, i) => BigInt(fill?.(i) ?? usual())) as never,
      dims,
    );
  return tensorFromNumbers(
    dtype,
    Float64Array.from({ length: count }, (_, i) => fill?.(i) ?? usual()),
    dims,
  );
}

function expectClose(got: Tensor, wanted: Tensor, tolerance: number): void {
  expect(got.dims).toEqual(wanted.dims);
  expect(got.dtype).toBe(wanted.dtype);
  if (isBig(wanted.dtype)) {
    expect(got.data).toEqual(wanted.data);
    return;
  }
  const a = readNumbers(got);
  const b = readNumbers(wanted);
  let largest = 0;
  for (const x of b) if (Number.isFinite(x)) largest = Math.max(largest, Math.abs(x));
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    if (Object.is(x, y) || x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    if (!(Math.abs(x - y) <= tolerance * largest))
      expect.fail(`element ${String(i)} is ${String(x)}, expected ${String(y)} of at most ${String(largest)}`);
  }
}
