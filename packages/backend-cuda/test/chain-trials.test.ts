/** Chains that compute something else than their members: the emulator plays them. */

import { Builder, type BuildOptions, type Plan } from '@tensorwright/builder';
import {
  createSymbol,
  elementCount,
  GraphBuilder,
  type Measurable,
  type Network,
  type Node,
  readNumbers,
  registerBackend,
  symbolDim,
  Tensor,
  tensorFromNumbers,
  tensorType,
  type Trial,
  type TrialOptions,
  type Value,
  viewGroup,
} from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { hasDevice } from './compare.js';
import { isEmulated, play } from './support/emulator-play.js';

// Clusters of blocks; read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

/** What was run to compare results. */
interface Tried {
  /** One step that is a chain. */
  readonly chain: boolean;
  readonly onDevice: boolean;
  readonly steps: number;
}

let tried: Tried[] = [];
/** Spoils what a trial gives. */
let spoil: (trial: Trial, what: Tried) => Trial = (trial) => trial;
/** Attributes of steps that are chains. */
const chainSteps = new WeakSet<object>();
const isChain = (node: Node): boolean => viewGroup(node).parts.length > 0;

// Chains are faster than their members, and every node has few candidates to compile.
registerBackend({
  ...cudaBackend,
  candidates: (node) => {
    const byEstimate = [...cudaBackend.candidates(node, [])].sort((a, b) => a.estimate - b.estimate);
    return byEstimate.slice(0, isChain(node) ? 1 : 2);
  },
  emit: async (node, candidate, context) => {
    const step = await cudaBackend.emit(node, candidate, context);
    if (isChain(node)) chainSteps.add(step.attributes);
    return step;
  },
  trials: (options) => {
    const trials = cudaBackend.trials!(options);
    return {
      close: () => {
        trials.close();
      },
      try: async (work: Measurable, wanted: TrialOptions): Promise<Trial> => {
        const { steps } = work.program;
        const last = steps.at(-1)!;
        const what = {
          chain: chainSteps.has(last.attributes),
          onDevice: last.layer.tactic.startsWith('cuda.'),
          steps: steps.length,
        };
        const trial = await trials.try(work, { ...wanted, timed: false });
        if (wanted.outputs) tried.push(what);
        const times = wanted.timed ? { nanoseconds: [what.chain ? 1000 : 2000] } : {};
        return spoil({ ...trial, ...times }, what);
      },
    };
  },
});

afterEach(() => {
  play('');
  tried = [];
  spoil = (trial) => trial;
});
afterAll(() => {
  registerBackend(cudaBackend);
});

interface Case {
  readonly x: Tensor;
  /** Name of the first extent, which only the run knows. Default: it is known. */
  readonly symbol?: string;
  readonly graph: (b: GraphBuilder, x: Value) => Value;
}

function numbers(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => ((((i + 3) * seed) % 31) - 15) / 32);
}

function half(dims: readonly number[], seed = 7919): Tensor {
  return tensorFromNumbers('float16', numbers(elementCount(dims), seed), dims);
}

/** What scales each channel of an image of 16 channels and 5 x 4 pixels. */
function excited(b: GraphBuilder, y: Value): Value {
  const sum = b.op('reduce', [y], { monoid: 'sum', axes: [2, 3], keepdims: true, to: 'float32' });
  const mean = b.op('cast', [b.op('div', [sum, b.scalar(20, 'float32')])], { to: 'float16' });
  const down = b.op('relu', [b.op('conv', [mean, b.constant(half([6, 16, 1, 1])), undefined], { group: 1 })]);
  return b.op('sigmoid', [b.op('conv', [down, b.constant(half([16, 6, 1, 1], 31)), undefined], { group: 1 })]);
}

const image = tensorFromNumbers('float16', numbers(640, 7919).map(Math.abs), [2, 16, 5, 4]);
const excitation: Case = { x: image, graph: excited };
/** With the depthwise convolution before it, whose image is another output. */
const pooled: Case = {
  x: image,
  graph: (b, x) => {
    const attributes = { group: 16, pads: [1, 1, 1, 1] };
    const y = b.op('relu', [b.op('conv', [x, b.constant(half([16, 1, 3, 3])), undefined], attributes)]);
    return b.op('mul', [y, excited(b, y)]);
  },
};
const scaled: Case = {
  x: image,
  graph: (b, x) => {
    const y = b.op('mul', [x, b.constant(half([1, 16, 1, 1], 31))]);
    return b.op('conv', [y, b.constant(half([24, 16, 1, 1])), undefined], { group: 1 });
  },
};
const pixels: Case = {
  x: tensorFromNumbers(
    'uint8',
    numbers(1890, 7919).map((v) => 120 + 240 * v),
    [1, 3, 21, 30],
  ),
  graph: (b, x) => {
    const y = b.op('mul', [b.op('cast', [x], { to: 'float32' }), b.scalar(1 / 255, 'float32')]);
    const attributes = { group: 1, pads: [1, 1, 1, 1], strides: [2, 2] };
    return b.op('conv', [b.op('cast', [y], { to: 'float16' }), b.constant(half([32, 3, 3, 3])), undefined], attributes);
  },
};
const pooledPixels: Case = {
  x: pixels.x,
  graph: (b, x) =>
    b.op('pool', [b.op('relu', [pixels.graph(b, x)])], { kind: 'max', kernelShape: [3, 3], strides: [2, 2] }),
};
const normalized: Case = {
  x: half([70, 104], 104729),
  graph: (b, x) => {
    const y = b.op('layerNorm', [x, b.constant(half([104])), b.constant(half([104], 7907))], { epsilon: 1e-5 });
    return b.op('dot', [y, b.constant(half([104, 72], 31))], { lhs: 'mk', rhs: 'kn', out: 'mn' });
  },
};

function build({ x, symbol, graph }: Case, options: BuildOptions = {}): Promise<Plan> {
  const b = new GraphBuilder();
  const [first, ...others] = x.dims;
  const known = symbol === undefined ? first! : symbolDim(createSymbol(symbol));
  const input = b.input('x', tensorType(x.dtype, [known, ...others]));
  const output = graph(b, input);
  const network = {
    name: 'chain',
    graph: { inputs: [input], outputs: [output] },
    builder: b,
    inputs: [{ name: 'x', value: input }],
    outputs: [{ name: 'y', value: output }],
    metadata: {},
    opsets: {},
  } as unknown as Network;
  const profiles = [{ x: { min: [1, ...others], opt: x.dims, max: [8, ...others] } }];
  const backends = ['cuda', 'cpu'];
  return new Builder().build(network, { backends, ...(symbol !== undefined && { profiles }), ...options });
}

const tacticsOf = (plan: Plan): string => plan.header.program.steps.map((s) => s.layer.tactic).join();

/** That the plan computes what the reference backend does. */
async function runs(plan: Plan, of: Case): Promise<void> {
  const run = async (bytes: Uint8Array): Promise<Float64Array> => {
    await using engine = await Runtime.load(bytes);
    await using context = engine.createContext();
    const { y } = await context.run({ x: of.x });
    return readNumbers(y!);
  };
  const found = await run(await plan.toBytes());
  const expected = await run(await (await build(of, { backends: ['reference'] })).toBytes());
  found.forEach((v, i) => {
    expect(Math.abs(v - expected[i]!)).toBeLessThan(0.02 * Math.max(1, Math.abs(expected[i]!)));
  });
}

/** The trial with the signs of one of its outputs turned. */
function turned(trial: Trial, output: number): Trial {
  const outputs = trial.outputs.map((t, i) =>
    t && i === output
      ? new Tensor(
          'float16',
          (t.data as Uint16Array).map((bits) => bits ^ 0x8000),
          t.dims,
        )
      : t,
  );
  return { ...trial, outputs };
}

const areMembers = ({ chain, onDevice, steps }: Tried): boolean => onDevice && !chain && steps > 1;

describe.skipIf(!hasDevice || !isEmulated)('a chain', () => {
  it('is checked against its members, and kept where they agree', async () => {
    const plan = await build(excitation);
    expect(tacticsOf(plan)).toContain('cuda.excitation');
    expect(plan.header.report.dropped).toBeUndefined();
    expect(tried.filter(({ chain }) => chain)).toHaveLength(1);
    expect(tried.filter(areMembers)).toMatchObject([{ steps: 3 }]);
    await runs(plan, excitation);
  });

  it('that computes something else is dropped and named, and its members run', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tensorwright-timing-'));
    try {
      play('skip:excite');
      expect(tacticsOf(await build(excitation, { verifyTactics: false }))).toContain('cuda.excitation');
      const plan = await build(excitation, { timingCache: folder });
      const dropped = plan.header.report.dropped!;
      expect(dropped).toMatchObject([
        { operator: 'group', backend: 'cuda', tactic: 'cuda.excitation', code: 'ERR_VALUE' },
      ]);
      expect(dropped[0]!.reason).toMatch(
        /^unlike the processor and its members, 32 of 32 elements differ, the first at 0: NaN and /,
      );
      expect(tacticsOf(plan)).not.toContain('cuda.excitation');
      await runs(plan, excitation);
      play('');
      tried = [];
      const again = await build(excitation, { timingCache: folder });
      expect(again.header.report.dropped).toEqual(dropped);
      expect(await again.toBytes()).toEqual(await plan.toBytes());
      expect(tried).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is found out by each of its outputs', async () => {
    spoil = (trial, what) => (what.chain && trial.outputs.length === 2 ? turned(trial, 0) : trial);
    const plan = await build(pooled);
    const dropped = plan.header.report.dropped!;
    expect(dropped).toHaveLength(1);
    expect(dropped[0]!.tactic).toMatch(/^cuda\.pooledExcitation/);
    expect(dropped[0]!.reason).toMatch(/^unlike the processor and its members, output 0: /);
    expect(tacticsOf(plan)).not.toContain('cuda.pooledExcitation');
    await runs(plan, pooled);
  });

  it.each<[string, number, Case]>([
    ['cuda.pooledExcitation', 4, pooled],
    ['cuda.excitation', 3, { ...excitation, symbol: 'n' }],
    ['cuda.normalizedProduct', 2, normalized],
    ['cuda.contraction', 2, scaled],
    ['cuda.stem', 2, pixels],
    ['cuda.pooledStem', 3, pooledPixels],
  ])('by %s is kept where it is right', async (tactic, members, of) => {
    const plan = await build(of);
    expect(tacticsOf(plan)).toContain(tactic);
    expect(plan.header.report.dropped).toBeUndefined();
    expect(tried.some(({ chain }) => chain)).toBe(true);
    expect(Math.max(...tried.filter(areMembers).map(({ steps }) => steps))).toBeGreaterThanOrEqual(members);
    expect(tried.filter(({ onDevice, steps }) => !onDevice && steps > 1)).toEqual([]);
    await runs(plan, of);
  });

  it('is right where the processor says so, whatever its members compute together', async () => {
    const told: string[] = [];
    spoil = (trial, what) => (areMembers(what) ? turned(trial, 0) : trial);
    const plan = await build(excitation, {
      logger: ({ level, message }) => {
        if (level === 'warn') told.push(message);
      },
    });
    expect(tacticsOf(plan)).toContain('cuda.excitation');
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^cuda\.excitation agrees with the processor, but not with its members: 32 of 32 /);
  });

  it('is not verified where its members are faster', async () => {
    spoil = (trial, what) => (what.chain && trial.nanoseconds.length > 0 ? { ...trial, nanoseconds: [1e6] } : trial);
    expect(tacticsOf(await build(excitation))).not.toContain('cuda.excitation');
    expect(tried.filter(({ chain }) => chain)).toEqual([]);
  });
});
