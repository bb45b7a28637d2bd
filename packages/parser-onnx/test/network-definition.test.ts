import {
  evaluateGraph,
  NetworkDefinition,
  type NetworkTensor,
  Tensor,
  type TensorwrightError,
} from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { expectClose, integers, numbers } from './support/against-onnxruntime.js';
import { runOnOrt } from './support/network-on-ort.js';

/** Evaluated here and, written as an ONNX model, in ONNX Runtime. */
async function expectSame(
  define: (net: NetworkDefinition) => NetworkTensor | readonly NetworkTensor[],
  inputs: readonly Tensor[],
): Promise<Tensor[]> {
  const net = new NetworkDefinition('test');
  const outputs = [define(net)].flat();
  outputs.forEach((t, i) => {
    net.markOutput(t, `y${i}`);
  });
  const network = net.toNetwork();
  const here = evaluateGraph(network.graph, inputs) as Tensor[];
  const there = await runOnOrt(network, inputs);
  if (typeof there === 'string') throw new Error(there);
  expectClose(here, there, { rtol: 1e-4, atol: 1e-5 });
  return here;
}

const image = numbers([2, 4, 9, 7], 3);

describe('NetworkDefinition', () => {
  it('builds a small convolutional network with dynamic extents', async () => {
    const [y] = await expectSame(
      (net) => {
        const x = net.addInput('x', 'float32', ['batch', 4, 'height', 'width']);
        const conv = net.addConvolution(x, net.addConstant(numbers([8, 2, 3, 3], 1)), {
          bias: net.addConstant(numbers([8], 2)),
          stride: [2, 1],
          padding: [1, 1],
          groups: 2,
        });
        const scaled = net.addScale(conv, 'channel', {
          scale: net.addConstant(numbers([8], 4)),
          shift: net.addConstant(numbers([8], 5)),
        });
        const pooled = net.addPooling(net.addActivation(scaled, 'relu'), 'average', [2, 2], {
          padding: [1, 1],
          averageExcludesPadding: true,
        });
        const flat = net.addReduce(pooled, 'avg', [2, 3]);
        const scores = net.addMatrixMultiply(flat, 'none', net.addConstant(numbers([5, 8], 6)), 'transpose');
        return net.addSoftMax(scores, 1);
      },
      [image],
    );
    expect(y!.dims).toEqual([2, 5]);
  });

  it('has elementwise, unary and activation layers', async () => {
    await expectSame(
      (net) => {
        const x = net.addInput('x', 'float32', [-1, 6]);
        const y = net.addInput('y', 'float32', [1, 6]);
        const positive = net.addElementWise(
          net.addUnary(y, 'abs'),
          net.addConstant(new Tensor('float32', [0.5], [])),
          'sum',
        );
        return [
          net.addElementWise(x, positive, 'floorDiv'),
          net.addElementWise(positive, x, 'pow'),
          net.addElementWise(x, y, 'less'),
          net.addActivation(x, 'clip', { alpha: -0.5, beta: 0.25 }),
          net.addActivation(x, 'softplus', { alpha: 0.5, beta: 2 }),
          net.addActivation(x, 'scaledTanh', { alpha: 2, beta: 0.5 }),
          net.addActivation(x, 'geluErf'),
          net.addActivation(x, 'geluTanh'),
          net.addSelect(net.addElementWise(x, y, 'greater'), x, y),
          net.addCast(x, 'int32'),
        ];
      },
      [numbers([4, 6], 7, 3), numbers([1, 6], 8, 2)],
    );
  });

  it('divides integers towards minus infinity', async () => {
    const [q] = await expectSame(
      (net) => net.addElementWise(net.addInput('a', 'int32', [-1]), net.addInput('b', 'int32', [-1]), 'floorDiv'),
      [new Tensor('int32', [7, -7, 7, -7, 6, -6]), new Tensor('int32', [2, 2, -2, -2, 3, 3])],
    );
    expect([...q!.data]).toEqual([3, -4, -4, 3, 2, -2]);
  });

  it('moves elements', async () => {
    await expectSame(
      (net) => {
        const x = net.addInput('x', 'float32', ['n', 4, 9, 7]);
        return [
          net.addShuffle(x, { firstTranspose: [0, 2, 3, 1], reshape: [0, -1, 4], secondTranspose: [0, 2, 1] }),
          net.addConcatenation([x, net.addUnary(x, 'neg')], -1),
          net.addSlice(x, { start: [0, 3, 1, 0], size: [1, 4, 3, 7], stride: [1, -1, 3, 1] }),
          net.addPadding(x, [0, 0, 1, 2], [0, 0, 0, -3]),
          net.addResize(x, { scales: [1, 1, 2, 1.5], mode: 'linear' }),
          net.addResize(x, { sizes: [2, 4, 4, 14] }),
          net.addGather(x, net.addConstant(new Tensor('int64', [3, 0])), { axis: 1 }),
          net.addEinsum([x, x], 'nchw,nkhw->nck'),
        ];
      },
      [image],
    );
  });

  it('slices outside of the input', async () => {
    const x = numbers([3, 5], 9);
    const row = (t: Tensor, i: number): number[] => [...(t.data as Float32Array)].slice(i * 4, i * 4 + 4);
    const [wrapped, clamped] = await expectSame(
      (net) => {
        const t = net.addInput('x', 'float32', [3, 5]);
        return [
          net.addSlice(t, { start: [0, 3], size: [3, 4], mode: 'wrap' }),
          net.addSlice(t, { start: [0, -2], size: [3, 4], mode: 'clamp' }),
          net.addSlice(t, {
            start: [-1, 0],
            size: [3, 4],
            mode: 'fill',
            fill: net.addConstant(new Tensor('float32', [9], [])),
          }),
        ];
      },
      [x],
    );
    const first = [...x.data].slice(0, 5) as [number, number, number, number, number];
    expect(row(wrapped!, 0)).toEqual([first[3], first[4], first[0], first[1]]);
    expect(row(clamped!, 0)).toEqual([first[0], first[0], first[0], first[1]]);
  });

  it('selects, normalizes, attends and quantizes', async () => {
    await expectSame(
      (net) => {
        const x = net.addInput('x', 'float32', ['b', 4, 's', 8]);
        const scale = net.addConstant(numbers([8], 2));
        const top = net.addTopK(x, 'max', 3, 3);
        const steps = net.addConstant(new Tensor('float32', [0.01, 0.02, 0.03, 0.04]));
        const quantized = net.addQuantize(x, steps, { axis: 1, to: 'int8' });
        return [
          top.values,
          top.indices,
          net.addNonZero(net.addElementWise(x, net.addConstant(new Tensor('float32', [0], [])), 'greater')),
          net.addNormalization(x, scale, scale, [-1]),
          net.addNormalization(x, net.addConstant(numbers([4], 3)), undefined, [], { groups: 2 }),
          net.addDequantize(quantized, steps, { axis: 1 }),
          net.addAttention(x, x, x, { causal: true }),
        ];
      },
      [numbers([2, 4, 5, 8], 5)],
    );
  });

  it('branches and loops', async () => {
    for (const flag of [0, 1]) {
      const [a, state, trail, sums] = await expectSame(
        (net) => {
          const x = net.addInput('x', 'float32', ['n']);
          const c = net.addInput('c', 'bool', []);
          const branch = net.addIf(
            c,
            [x],
            (t) => [net.addUnary(t, 'neg')],
            (t) => [net.addConcatenation([t, t], 0)],
          );
          const one = net.addConstant(new Tensor('float32', [1], []));
          const looped = net.addLoop(
            { tripCount: net.addConstant(new Tensor('int64', [4], [])), carried: [x], captures: [x] },
            ({ carried, captures }) => {
              const next = net.addElementWise(carried[0]!, one, 'sum');
              return { carried: [next], stacked: [net.addElementWise(next, captures[0]!, 'prod')] };
            },
          );
          const scanned = net.addScan(
            { carried: [one], scanned: [{ tensor: x, reverse: true }] },
            ({ carried, scanned: [e] }) => {
              const total = net.addElementWise(carried[0]!, e!, 'sum');
              return { carried: [total], stacked: [total] };
            },
          );
          return [branch[0]!, looped.carried[0]!, looped.stacked[0]!, scanned.stacked[0]!];
        },
        [new Tensor('float32', [1, 2, 3]), new Tensor('bool', [flag], [])],
      );
      expect([...a!.data]).toEqual(flag === 1 ? [-1, -2, -3] : [1, 2, 3, 1, 2, 3]);
      expect([...state!.data]).toEqual([5, 6, 7]);
      expect(trail!.dims).toEqual([4, 3]);
      expect([...sums!.data]).toEqual([4, 6, 7]);
    }
  });

  it('lets a loop grow what it carries', async () => {
    const [grown] = await expectSame(
      (net) => {
        const n = net.addInput('n', 'int64', []);
        const start = net.addConstant(new Tensor('float32', [1], [1]));
        return net.addLoop({ tripCount: n, carried: [start] }, ({ carried: [t] }) => ({
          carried: [net.addConcatenation([t!, t!], 0)],
        })).carried[0]!;
      },
      [new Tensor('int64', [3], [])],
    );
    expect(grown!.dims).toEqual([8]);
  });

  it('names the layer in its errors', () => {
    const net = new NetworkDefinition();
    const x = net.addInput('x', 'float32', [2, 3]);
    const fails = (act: () => unknown): TensorwrightError => {
      try {
        act();
      } catch (error) {
        return error as TensorwrightError;
      }
      throw new Error('accepted');
    };
    expect(fails(() => net.addConvolution(x, x, { name: 'stem' })).message).toContain('stem');
    expect(fails(() => net.addInput('x', 'float32', []))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
    expect(fails(() => net.addUnary(x, 'sqr' as never)).message).toContain("unknown unary operation 'sqr'");
    expect(fails(() => net.addElementWise(x, net.addConstant(integers('int32', [3], 0, 5)), 'sum')).code).toBe(
      'ERR_INVALID_ARGUMENT',
    );
    expect(fails(() => net.toNetwork()).message).toContain('markOutput');
    const y = net.addInput('other', 'float32', [2]);
    const c = net.addInput('c', 'bool', []);
    expect(
      fails(() =>
        net.addIf(
          c,
          [],
          () => [y],
          () => [y],
        ),
      ).message,
    ).toContain("'other'");
  });
});
