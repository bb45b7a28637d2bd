/** Kernels of plugins for operators that are built in, and calls that kernels refuse. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import {
  ceilDivDims,
  type DType,
  GraphBuilder,
  NetworkDefinition,
  readNumbers,
  Tensor,
  tensorFromNumbers,
  tensorType,
} from '@tensorwright/core';
import { arg, definePlugin, field, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { compare, hasDevice } from '../../backend-cuda/test/compare.js';

/** One thread a row: for a race it need not win. */
const rowSoftmax = definePlugin({
  name: 'RowSoftmax',
  namespace: 'acme',
  implements: 'softmax',
  fields: { axis: field.int() },
  inputs: ['x'],
  outputs: ['y'],
  cuda: {
    dtypes: ['float32', 'float16'],
    refuses: ({ inputs: { x }, fields: { axis } }) =>
      axis === -1 || axis === x.dims.length - 1 ? undefined : 'the axis must be the last one',
    tactics: ['32', '64'],
    epilogue: true,
    source: `
template <typename T, typename Y>
__global__ void row_softmax(const T* x, Y y, int rows, int columns) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  x += (long long)row * columns;
  float largest = x[0], sum = 0;
  for (int i = 1; i < columns; ++i) largest = fmaxf(largest, x[i]);
  for (int i = 0; i < columns; ++i) sum += expf(float(x[i]) - largest);
  for (int i = 0; i < columns; ++i) y.store(row * columns + i, expf(float(x[i]) - largest) / sum);
}`,
    launches: ({ inputs: { x }, outputs: { y }, tactic }) => {
      const rows = x.dims
        .slice(0, -1)
        .reduce<typeof x.size>((n, d) => (n === 1 ? d : d === 1 ? n : Number(n) * Number(d)), 1);
      return [
        {
          kernel: `row_softmax<${x.type}>`,
          grid: ceilDivDims(rows, Number(tactic)),
          block: Number(tactic),
          arguments: [x, y, rows, x.dims.at(-1)!],
        },
      ];
    },
  },
});

const softmaxTactics = (axis: number): string[] => {
  const b = new GraphBuilder();
  const y = b.op('softmax', [b.input('x', tensorType('float32', [4, 6]))], { axis });
  return cudaBackend.candidates(y.node).map((c) => c.tactic);
};
const own = ['cuda.provided.acme::RowSoftmax@1.32', 'cuda.provided.acme::RowSoftmax@1.64'];

describe('a plugin that implements a built-in operator', () => {
  it.skipIf(!hasDevice)('races while a registry has it, where it does not refuse', () => {
    expect(softmaxTactics(-1)).not.toEqual(expect.arrayContaining(own));
    const [registry, other] = [new PluginRegistry().register(rowSoftmax), new PluginRegistry().register(rowSoftmax)];
    expect(softmaxTactics(-1)).toEqual(expect.arrayContaining(own));
    expect(softmaxTactics(0)).not.toEqual(expect.arrayContaining(own));
    registry.unregister(rowSoftmax.key);
    expect(softmaxTactics(-1).filter((t) => t.includes('RowSoftmax'))).toEqual(own);
    other.unregister(rowSoftmax.key);
    expect(softmaxTactics(-1)).not.toEqual(expect.arrayContaining(own));
  });

  it.skipIf(!hasDevice)('is told apart by what it launches, not by how that is written', () => {
    // Stands for what a function captures, which its text does not show.
    let rows: number | Tensor = 0;
    const plugin = definePlugin({
      name: 'Captured',
      implements: 'softmax',
      inputs: ['x'],
      outputs: ['y'],
      cuda: { source: '', launches: () => [{ kernel: 'rows', grid: 1, block: 1, arguments: [rows] }] },
    });
    const producersOf = (captured: number | Tensor): string[] => {
      rows = captured;
      const b = new GraphBuilder();
      const y = b.op('softmax', [b.input('x', tensorType('float32', [4, 6]))], { axis: 1 });
      const candidates = cudaBackend.candidates(y.node);
      return candidates.flatMap((c) => (c.tactic.includes('Captured') ? [c.producer] : []));
    };
    const registry = new PluginRegistry().register(plugin);
    const table = (v: number): Tensor => new Tensor('int32', Int32Array.of(v), [1]);
    const [four, five, again] = [4, 5, 4].map(producersOf);
    expect(four).toHaveLength(1);
    expect(four).not.toEqual(five);
    expect(four).toEqual(again);
    expect(producersOf(table(1))).not.toEqual(producersOf(table(2)));
    expect(producersOf(table(1))).toEqual(producersOf(table(1)));
    registry.unregister(plugin.key);
  });

  it.skipIf(!hasDevice)('offers what its tactics launch alike once', () => {
    const plugin = definePlugin({
      name: 'Alike',
      implements: 'softmax',
      inputs: ['x'],
      outputs: ['y'],
      cuda: {
        source: '',
        tactics: ['64', '128', 'also64', 'also128'],
        formats: [{}, { x: 'channelsLast' }],
        launches: ({ tactic }) => [{ kernel: 'rows', grid: 1, block: tactic.includes('64') ? 64 : 128, arguments: [] }],
      },
    });
    const registry = new PluginRegistry().register(plugin);
    expect(softmaxTactics(-1).filter((t) => t.includes('Alike'))).toEqual(
      ['64-format0', '128-format0', '64-format1', '128-format1'].map((name) => `cuda.provided.Alike@1.${name}`),
    );
    registry.unregister(plugin.key);
  });

  it.skipIf(!hasDevice).each(['float32', 'float16'] as const)('computes it in %s', async (dtype: DType) => {
    const registry = new PluginRegistry().register(rowSoftmax);
    try {
      await compare({
        inputs: [{ dtype, dims: [5, 7] }],
        graph: (b, x) => b.op('softmax', [x], { axis: -1 }),
        force: { tactic: own[0]!, parameters: {} },
      });
      // 16-bit results are rounded where they are stored.
      await compare({
        inputs: [{ dtype: 'float32', dims: [5, 7] }],
        graph: (b, x) => b.op('cast', [b.op('softmax', [x], { axis: 1 })], { to: 'float16' }),
        force: { tactic: own[1]!, parameters: {} },
        steps: [own[1]!],
      });
    } finally {
      registry.unregister(rowSoftmax.key);
    }
  });

  it.skipIf(!hasDevice)('is timed beside our own', async () => {
    const registry = new PluginRegistry().register(rowSoftmax);
    try {
      const n = new NetworkDefinition();
      n.markOutput(n.addSoftMax(n.addInput('x', 'float32', [3, 4]), 1), 'y');
      const lines: string[] = [];
      const plan = await new Builder().build(n.toNetwork(), {
        backends: ['cuda', 'cpu'],
        logger: ({ message }) => lines.push(message),
      });
      expect(plan.header.program.steps.some((s) => s.layer.microseconds !== undefined)).toBe(true);
      expect(lines.filter((l) => l.includes('RowSoftmax'))).toEqual([]);
    } finally {
      registry.unregister(rowSoftmax.key);
    }
  });

  it('is checked against the operator', () => {
    const base = { inputs: ['x'], outputs: ['y'], cuda: { source: '', launches: () => [] } } as const;
    expect(() => definePlugin({ ...base, name: 'RaceA', implements: 'softmaks' })).toThrow(/no built-in operator/);
    expect(() => definePlugin({ ...base, name: 'RaceB', implements: 'matmul' })).toThrow(/no built-in operator/);
    expect(() => definePlugin({ ...base, name: 'RaceC', implements: 'where' })).toThrow(/has the inputs/);
    expect(() =>
      definePlugin({ ...base, name: 'RaceD', implements: 'softmax', fields: { axes: field.int() } }),
    ).toThrow(/no attribute 'axes'; known: axis/);
    expect(() => definePlugin({ ...base, name: 'RaceE', implements: 'softmax', infer: () => ({}) as never })).toThrow(
      /types and a function of its own/,
    );
    definePlugin({ ...base, name: 'RaceF', implements: 'softmax' });
    expect(() => definePlugin({ ...base, name: 'RaceF', implements: 'softmax' })).toThrow(/already/);
  });
});

describe('what a plugin refuses', () => {
  it.skipIf(!hasDevice)('goes to its function for the processor', async () => {
    const picky = definePlugin({
      name: 'Picky',
      inputs: ['x'],
      outputs: ['y'],
      infer: ({ inputs: { x } }) => ({ y: x }),
      cuda: {
        source: '__global__ void copy(const float* x, float* y, float by) { y[threadIdx.x] = by * x[threadIdx.x]; }',
        refuses: ({ inputs: { x } }) => (x.size === 4 ? undefined : 'only four elements'),
        launches: ({ inputs: { x }, outputs: { y } }) => [
          { kernel: 'copy', grid: 1, block: 4, arguments: [x, y, arg.float(1)] },
        ],
      },
      cpu: ({ x }) => ({ y: x }),
    });
    for (const [size, tactic] of [
      [4, 'cuda.provided.Picky@1'],
      [5, 'plugins'],
    ] as const) {
      const n = new NetworkDefinition();
      n.markOutput(picky.addTo(n, { x: n.addInput('x', 'float32', [size]) }).y, 'y');
      const plan = await new Builder().build(n.toNetwork(), { backends: ['cuda', 'cpu'] });
      await using engine = await Runtime.load(await plan.toBytes(), {
        backends: [(await import('@tensorwright/plugins')).pluginBackend(new PluginRegistry().register(picky))],
      });
      expect(engine.inspect().layers.map((l) => l.tactic)).toContain(tactic);
      await using context = engine.createContext();
      const values = Array.from({ length: size }, (_, i) => i);
      const { y } = await context.run({ x: tensorFromNumbers('float32', values, [size]) });
      expect([...readNumbers(y!)]).toEqual(values);
      if (size === 5) expect(plan.header.report.fallbacks[0]!.reason).toContain('plugin Picky 1: only four elements');
    }
  });
});
