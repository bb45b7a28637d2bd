/** Plugins that are compositions of standard layers. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import {
  type DType,
  evaluateGraph,
  NetworkDefinition,
  readNumbers,
  Tensor,
  tensorFromNumbers,
} from '@tensorwright/core';
import { definePlugin, field } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';

/** y = x · sigmoid(scale · x) + bias, and how far that is from x. */
const swish = definePlugin({
  name: 'LoweredSwish',
  fields: { scale: field.float(1) },
  inputs: ['x', 'bias?'],
  outputs: ['y', 'change'],
  lower: ({ inputs: { x, bias }, fields: { scale } }, network) => {
    const factor = network.addConstant(tensorFromNumbers(x.dtype, [scale], []));
    const gate = network.addActivation(network.addElementWise(x, factor, 'prod'), 'sigmoid');
    const gated = network.addElementWise(x, gate, 'prod');
    const y = bias ? network.addElementWise(gated, bias, 'sum') : gated;
    return { y, change: network.addElementWise(y, x, 'sub') };
  },
});

const values = [-2, -0.5, 0, 0.5, 1, 3];
const formula = (v: number, scale: number, bias: number): number => v / (1 + Math.exp(-scale * v)) + bias;

describe('a plugin that is lowered', () => {
  it.each([
    ['float32', 1e-6],
    ['float16', 4e-3],
  ] as const)('computes in %s, with fields and without', async (dtype: DType, tolerance) => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', dtype, ['rows', 2]);
    const bias = n.addConstant(tensorFromNumbers(dtype, [0.5, -0.5], [2]));
    n.markOutput(swish.addTo(n, { x, bias }, { scale: 2 }).y, 'biased');
    n.markOutput(swish.addTo(n, { x }).change, 'change');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['cpu'] });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const { biased, change } = await context.run({ x: tensorFromNumbers(dtype, values, [3, 2]) });
    values.forEach((v, i) => {
      expect(Math.abs(readNumbers(biased!)[i]! - formula(v, 2, i % 2 ? -0.5 : 0.5))).toBeLessThan(tolerance);
      expect(Math.abs(readNumbers(change!)[i]! - (formula(v, 1, 0) - v))).toBeLessThan(tolerance);
    });
  });

  it('counts as one layer of the network, and may be made of such', () => {
    const twice = definePlugin({
      name: 'LoweredTwice',
      inputs: ['x'],
      outputs: ['y'],
      lower: ({ inputs }, network) => {
        const { y: x } = swish.addTo(network, inputs);
        return { y: swish.addTo(network, { x }).y };
      },
    });
    const n = new NetworkDefinition();
    const { y } = twice.addTo(n, { x: n.addInput('x', 'float32', [2]) }, {}, { name: 'gate' });
    n.markOutput(y, 'y');
    const { provenance } = n.toNetwork().builder;
    expect(provenance.of(y.value.node)).toEqual(['gate']);
  });

  it('sees what is known of its inputs', () => {
    const seen: unknown[] = [];
    const plugin = definePlugin({
      name: 'LoweredSeen',
      inputs: ['x', 'shape'],
      outputs: ['y'],
      lower: ({ inputs: { x }, elements, constant }, network) => {
        seen.push(elements('shape'), constant('shape')?.dims, constant('x'), x.dims);
        return { y: network.addShuffle(x, { reshape: elements('shape')! }) };
      },
    });
    const n = new NetworkDefinition();
    const shape = n.addConstant(new Tensor('int64', BigInt64Array.of(3n, 2n), [2]));
    const { y } = plugin.addTo(n, { x: n.addInput('x', 'float32', [2, 3]), shape });
    expect(seen).toEqual([[3, 2], [2], undefined, [2, 3]]);
    expect(y.dims).toEqual([3, 2]);
  });

  it('is named when something is wrong', () => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', 'float32', [2, 3]);
    const wrong = (name: string, lower: () => unknown): (() => unknown) => {
      const plugin = definePlugin({ name, inputs: ['x'], outputs: ['y'], lower: lower as never });
      return () => plugin.addTo(n, { x }, {}, { name: `layer of ${name}` });
    };
    const other = n.addInput('other', 'float32', [5]);
    const error = (code: string, message: string): unknown =>
      expect.objectContaining({ code, message: expect.stringContaining(message) as string });
    expect(wrong('LoweredNot', () => ({}))).toThrow(
      error('ERR_PLUGIN', "plugin LoweredNot 1: lower gives no tensor for output 'y'"),
    );
    expect(
      wrong('LoweredThrows', () => {
        throw new RangeError('no such thing');
      }),
    ).toThrow(error('ERR_PLUGIN', 'plugin LoweredThrows 1: lower threw: no such thing'));
    expect(wrong('LoweredUnfit', () => ({ y: n.addElementWise(x, other, 'sum') }))).toThrow(
      error('ERR_INVALID_ARGUMENT', 'plugin LoweredUnfit 1: '),
    );
    expect(
      wrong('LoweredRefuses', ((context: { fail: (m: string) => never }) => context.fail('too small')) as never),
    ).toThrow(error('ERR_INVALID_ARGUMENT', 'layer of LoweredRefuses: plugin LoweredRefuses 1: too small'));
    expect(() => swish.addTo(n, {} as never)).toThrow(/input 'x' is missing/);
    expect(() => swish.addTo(n, { x: 3 } as never)).toThrow(/must be a tensor/);
    const spec = { inputs: ['x'], outputs: ['y'], lower: ({ inputs }: never) => inputs } as never;
    const too = (change: object) => (): unknown =>
      definePlugin(Object.assign({ name: 'LoweredTooMuch' }, spec, change));
    expect(too({ cpu: () => ({}) })).toThrow(/give lower or cpu/);
    expect(too({ infer: () => ({}) })).toThrow(/has no infer/);
    expect(too({ cuda: { source: '', launches: () => [] } })).toThrow(/with kernels, infer/);
  });
});

/** x + 1 by a kernel for sizes that are even, else by layers. */
const plusOne = definePlugin({
  name: 'LoweredOdd',
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  lower: ({ inputs: { x } }, network) => {
    const one = network.addConstant(tensorFromNumbers(x.dtype, [1], []));
    return { y: network.addElementWise(x, one, 'sum') };
  },
  cuda: {
    refuses: ({ inputs: { x } }) => (Number(x.size) % 2 === 0 ? undefined : 'an odd size'),
    source: '__global__ void plus_one(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x] + 1; }',
    launches: ({ inputs: { x }, outputs: { y } }) => [
      { kernel: 'plus_one', grid: 1, block: Number(x.size), arguments: [x, y] },
    ],
  },
});

describe('a plugin with kernels and layers', () => {
  const device = cudaBackend.device() !== undefined;
  it.each([
    [['cpu'], 4, 'layers'],
    [['reference'], 4, 'layers'],
    ...(device
      ? ([
          [['cuda', 'cpu'], 4, 'kernels'],
          [['cuda', 'cpu'], 5, 'layers'],
        ] as const)
      : []),
  ] as const)('on %j runs %i elements by its %s', async (backends, size, by) => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', 'float32', [size]);
    const { y } = plusOne.addTo(n, { x }, {}, { name: 'odd' });
    const condition = n.addConstant(new Tensor('bool', Uint8Array.of(1), []));
    n.markOutput(y, 'y');
    const [inBody] = n.addIf(
      condition,
      [x],
      (a) => [plusOne.addTo(n, { x: n.addElementWise(a, a, 'sum') }).y],
      (a) => [a],
    );
    n.markOutput(inBody!, 'twice');
    const plan = await new Builder().build(n.toNetwork(), { backends });
    const layers = plan.header.program.steps.filter((s) => s.layer.origins.includes('odd'));
    expect(layers.some((s) => s.layer.tactic.startsWith('cuda.provided'))).toBe(by === 'kernels');
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const given = Float32Array.from({ length: size }, (_, i) => i);
    const found = await context.run({ x: new Tensor('float32', given, [size]) });
    expect([...readNumbers(found['y']!)]).toEqual([...given].map((v) => v + 1));
    expect([...readNumbers(found['twice']!)]).toEqual([...given].map((v) => 2 * v + 1));
  });

  it('in the body of a loop, leaves both their names', async () => {
    const n = new NetworkDefinition();
    const tripCount = n.addInput('trips', 'int64', []);
    const { carried } = n.addLoop(
      { tripCount, carried: [n.addInput('x', 'float32', [4])] },
      ({ carried: [x] }) => ({ carried: [plusOne.addTo(n, { x: x! }, {}, { name: 'inner' }).y] }),
      { name: 'outer' },
    );
    n.markOutput(carried[0]!, 'y');
    const { steps } = (await new Builder().build(n.toNetwork(), { backends: ['cpu'] })).header.program;
    const loop = steps.find((s) => s.programs);
    expect(loop!.layer.origins).toEqual(['outer']);
    expect(loop!.programs!.flatMap((p) => p.steps.flatMap((s) => s.layer.origins))).toContain('inner');
  });

  it('is evaluated by its layers', () => {
    const n = new NetworkDefinition();
    const x = n.addConstant(new Tensor('float32', Float32Array.of(1, 2), [2]));
    const { y } = plusOne.addTo(n, { x });
    const [sum] = evaluateGraph({ inputs: [], outputs: [y.value] }, []);
    expect((sum as Tensor).data).toEqual(Float32Array.of(2, 3));
  });

  it('is told where they differ', async () => {
    const differing = definePlugin({
      name: 'LoweredDiffering',
      inputs: ['x'],
      outputs: ['y'],
      infer: ({ inputs: { x } }) => ({ y: x }),
      lower: ({ inputs: { x } }, network) => ({ y: network.addReduce(x, 'sum', [0]) }),
      cuda: { source: '', launches: () => [] },
    });
    const n = new NetworkDefinition();
    n.markOutput(differing.addTo(n, { x: n.addInput('x', 'float32', [3]) }).y, 'y');
    await expect(new Builder().build(n.toNetwork(), { backends: ['cpu'] })).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: expect.stringMatching(/LoweredDiffering@1: its layers give float32\[\] for output 0/) as string,
    });
  });
});
