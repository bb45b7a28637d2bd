/** Chains that compute something else than their members: the emulator plays them. */

import { Builder, type BuildOptions, type Plan } from '@tensorwright/builder';
import {
  type Candidate,
  elementCount,
  GraphBuilder,
  type Measurable,
  type Network,
  readNumbers,
  registerBackend,
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

/** What the last step of a trial is, and how many there are. */
interface Tried {
  readonly tactic: string;
  readonly steps: number;
}

let tried: Tried[] = [];
/** Spoils what a trial gives. */
let spoil: (trial: Trial, what: Tried) => Trial = (trial) => trial;
const isExcitation = ({ tactic }: Tried): boolean => /^cuda\.(pooledE|e)xcitation/.test(tactic);

// Chains are faster than their members, and every node has few candidates to compile.
registerBackend({
  ...cudaBackend,
  candidates: (node) => {
    const offered = cudaBackend.candidates(node, []);
    const byEstimate = [...offered].sort((a: Candidate, b: Candidate) => a.estimate - b.estimate);
    return byEstimate.slice(0, viewGroup(node).parts.length > 0 ? 1 : 2);
  },
  trials: (options) => {
    const trials = cudaBackend.trials!(options);
    return {
      close: () => {
        trials.close();
      },
      try: async (work: Measurable, wanted: TrialOptions): Promise<Trial> => {
        const { steps } = work.program;
        const what = { tactic: steps.at(-1)!.layer.tactic, steps: steps.length };
        const trial = await trials.try(work, { ...wanted, timed: false });
        if (wanted.outputs) tried.push(what);
        const times = wanted.timed ? { nanoseconds: [isExcitation(what) ? 1000 : 2000] } : {};
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

const image = [2, 16, 5, 4] as const;

function numbers(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => ((((i + 3) * seed) % 31) - 15) / 32);
}

/** A squeeze-excite block, with its depthwise convolution or without. */
function networkOf(depthwise: boolean): Network {
  const b = new GraphBuilder();
  const constant = (dims: readonly number[], seed: number): Value =>
    b.constant(tensorFromNumbers('float16', numbers(elementCount(dims), seed), dims));
  const channels = image[1];
  const x = b.input('x', tensorType('float16', image));
  const pads = [1, 1, 1, 1];
  const y = depthwise
    ? b.op('relu', [b.op('conv', [x, constant([channels, 1, 3, 3], 7919), undefined], { group: channels, pads })])
    : x;
  const sum = b.op('reduce', [y], { monoid: 'sum', axes: [2, 3], keepdims: true, to: 'float32' });
  const mean = b.op('cast', [b.op('div', [sum, b.scalar(20, 'float32')])], { to: 'float16' });
  const down = b.op('relu', [b.op('conv', [mean, constant([6, channels, 1, 1], 7907), undefined], { group: 1 })]);
  const up = b.op('sigmoid', [b.op('conv', [down, constant([channels, 6, 1, 1], 31), undefined], { group: 1 })]);
  const outputs = depthwise ? [b.op('mul', [y, up])] : [up];
  return {
    name: 'block',
    graph: { inputs: [x], outputs },
    builder: b,
    inputs: [{ name: 'x', value: x }],
    outputs: [{ name: 'y', value: outputs[0]! }],
    metadata: {},
    opsets: {},
  };
}

function build(depthwise: boolean, options: BuildOptions = {}): Promise<Plan> {
  return new Builder().build(networkOf(depthwise), { backends: ['cuda', 'cpu'], ...options });
}

const tacticsOf = (plan: Plan): string => plan.header.program.steps.map((s) => s.layer.tactic).join();

/** That the plan computes what the reference backend does. */
async function runs(plan: Plan, depthwise: boolean): Promise<void> {
  const x = tensorFromNumbers('float16', numbers(elementCount(image), 7919).map(Math.abs), image);
  const run = async (of: Plan): Promise<Float64Array> => {
    await using engine = await Runtime.load(await of.toBytes());
    await using context = engine.createContext();
    const { y } = await context.run({ x });
    return readNumbers(y!);
  };
  const found = await run(plan);
  const expected = await run(await build(depthwise, { backends: ['reference'] }));
  found.forEach((v, i) => {
    expect(v).toBeCloseTo(expected[i]!, 2);
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

const areMembers = (what: Tried): boolean => what.tactic.startsWith('cuda.') && !isExcitation(what) && what.steps > 1;

describe.skipIf(!hasDevice || !isEmulated)('a chain', () => {
  it('is checked against its members, and kept where they agree', async () => {
    const plan = await build(false);
    expect(tacticsOf(plan)).toContain('cuda.excitation');
    expect(plan.header.report.dropped).toBeUndefined();
    expect(tried.filter(isExcitation)).toHaveLength(1);
    expect(tried.filter(areMembers)).toMatchObject([{ steps: 3 }]);
    await runs(plan, false);
  });

  it('that computes something else is dropped and named, and its members run', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tensorwright-timing-'));
    try {
      play('skip:excite');
      expect(tacticsOf(await build(false, { verifyTactics: false }))).toContain('cuda.excitation');
      const plan = await build(false, { timingCache: folder });
      const dropped = plan.header.report.dropped!;
      expect(dropped).toMatchObject([
        { operator: 'group', backend: 'cuda', tactic: 'cuda.excitation', code: 'ERR_VALUE' },
      ]);
      expect(dropped[0]!.reason).toMatch(
        /^unlike the processor and its members, 32 of 32 elements differ, the first at 0: NaN and /,
      );
      expect(tacticsOf(plan)).not.toContain('cuda.excitation');
      await runs(plan, false);
      play('');
      tried = [];
      const again = await build(false, { timingCache: folder });
      expect(again.header.report.dropped).toEqual(dropped);
      expect(await again.toBytes()).toEqual(await plan.toBytes());
      expect(tried).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is found out by each of its outputs', async () => {
    spoil = (trial, what) => (what.tactic.startsWith('cuda.pooled') ? turned(trial, 0) : trial);
    const plan = await build(true);
    const dropped = plan.header.report.dropped!;
    expect(dropped).toHaveLength(1);
    expect(dropped[0]!.tactic).toMatch(/^cuda\.pooledExcitation/);
    expect(dropped[0]!.reason).toMatch(/^unlike the processor and its members, output 0: /);
    expect(tacticsOf(plan)).not.toContain('cuda.pooledExcitation');
    await runs(plan, true);
  });

  it('of several outputs is kept where all are right', async () => {
    const plan = await build(true);
    expect(tacticsOf(plan)).toContain('cuda.pooledExcitation');
    expect(plan.header.report.dropped).toBeUndefined();
    await runs(plan, true);
  });

  it('is right where the processor says so, whatever its members compute together', async () => {
    const told: string[] = [];
    spoil = (trial, what) => (areMembers(what) ? turned(trial, 0) : trial);
    const plan = await build(false, {
      logger: ({ level, message }) => {
        if (level === 'warn') told.push(message);
      },
    });
    expect(tacticsOf(plan)).toContain('cuda.excitation');
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^cuda\.excitation agrees with the processor, but not with its members: 32 of 32 /);
  });

  it('is not verified where its members are faster', async () => {
    spoil = (trial, what) =>
      isExcitation(what) && trial.nanoseconds.length > 0 ? { ...trial, nanoseconds: [1e6] } : trial;
    expect(tacticsOf(await build(false))).not.toContain('cuda.excitation');
    expect(tried.filter(isExcitation)).toEqual([]);
  });
});
