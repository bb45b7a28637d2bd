import { ConstantData, type DType, type GraphBuilder, Tensor, type Value } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';

const constant = (b: GraphBuilder, tensor: Tensor): Value =>
  b.node('constant', [], { data: ConstantData.of(tensor) })[0]!;
const integers = (b: GraphBuilder, values: readonly number[], dims: readonly number[] = [values.length]): Value =>
  constant(b, new Tensor('int64', BigInt64Array.from(values, BigInt), dims));
const floats = (b: GraphBuilder, values: readonly number[]): Value =>
  constant(b, new Tensor('float32', Float32Array.from(values), [values.length]));

/** Indices between -extent and extent - 1. */
const indices = (dims: readonly number[], extent: number, dtype: DType = 'int64') => ({
  dtype,
  dims,
  fill: (i: number): number => ((i * 37) % (2 * extent)) - extent,
});

describe.skipIf(!hasDevice)('gather', () => {
  it.each([
    ['float16', [50, 64], [3, 5], 0],
    ['float32', [50, 6], [7], 0],
    ['int64', [4, 9, 5], [2, 2], 1],
    ['float32', [4, 9], [6], -1],
    ['bool', [9, 4], [], 0],
    ['float32', [9, 4], [0], 0],
  ] as [DType, number[], number[], number][])('%s %j by %j along %i', (dtype, dims, at, axis) =>
    compare({
      inputs: [{ dtype, dims }, indices(at, dims.at(axis)!)],
      graph: (b, x, i) => b.op('gather', [x, i], { axis }),
    }),
  );
  it('tuples', () =>
    compare({
      inputs: [{ dtype: 'float16', dims: [2, 5, 6, 8] }, indices([2, 7, 2], 5)],
      graph: (b, x, i) => b.op('gatherND', [x, i], { batchDims: 1 }),
    }));
  it('elements', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [4, 9] }, indices([3, 20], 9, 'int32')],
      graph: (b, x, i) => b.op('gatherElements', [x, i], { axis: 1 }),
    }));
});

describe.skipIf(!hasDevice)('scatter', () => {
  it.each(['none', 'add', 'mul', 'max', 'min'])('applies repeated updates in order: %s', (reduction) =>
    compare({
      inputs: [{ dtype: 'float32', dims: [6, 4] }, indices([50, 1], 6), { dtype: 'float32', dims: [50, 4] }],
      graph: (b, x, i, u) => b.op('scatterND', [x, i, u], { reduction }),
    }),
  );
  it.each(['float16', 'int8', 'int64', 'float64'] as DType[])('elements of %s', (dtype) =>
    compare({
      inputs: [{ dtype, dims: [5, 9] }, indices([4, 7], 9), { dtype, dims: [4, 7] }],
      graph: (b, x, i, u) => b.op('scatterElements', [x, i, u], { axis: 1, reduction: 'add' }),
    }),
  );
});

describe.skipIf(!hasDevice)('topK', () => {
  it.each([
    ['float32', [3, 17], 5, 1, true],
    ['float16', [2, 9000], 100, 1, true],
    ['float32', [5000, 2], 4999, 0, false],
    ['int64', [1, 5000], 3000, 1, true],
    ['int8', [2, 6000], 70, 1, false],
    ['uint8', [2, 300], 300, 1, true],
    ['float64', [1, 3000], 1, 1, true],
    ['float32', [3, 5], 0, 1, true],
  ] as [DType, number[], number, number, boolean][])('%s %j, the best %i along %i', (dtype, dims, k, axis, largest) =>
    compare({
      inputs: [{ dtype, dims, ...(dtype === 'uint8' && { fill: (i: number) => (i * 7) % 256 }) }],
      graph: (b, x) => b.node('topK', [x, integers(b, [k])], { axis, largest }),
    }),
  );
  it('puts NaN first and keeps the order of equal ones', () =>
    compare({
      inputs: [{ dtype: 'float32', dims: [2, 40], fill: (i) => (i % 7 === 3 ? NaN : i % 5 === 0 ? -0 : i % 3) }],
      graph: (b, x) => b.node('topK', [x, integers(b, [20])], {})[1]!,
    }));
});

describe.skipIf(!hasDevice)('pool', () => {
  const windows = { kernelShape: [3, 3], strides: [2, 1], pads: [1, 0, 1, 2], dilations: [1, 2] };
  it.each([
    ['float16', { kind: 'max' }],
    ['float32', { kind: 'average' }],
    ['float32', { kind: 'average', countIncludePad: true, ceilMode: true }],
    ['float64', { kind: 'lp', p: 3 }],
    ['int8', { kind: 'max' }],
  ] as [DType, Record<string, unknown>][])('%s %j', async (dtype, attributes) => {
    for (const layout of ['rows', 'channelsLast'] as const)
      await compare({
        inputs: [{ dtype, dims: [2, 16, 9, 11] }],
        graph: (b, x) => b.op('pool', [x], { ...windows, ...attributes }),
        pick: (c) => c.outputs[0] === layout,
      });
  });
});

describe.skipIf(!hasDevice)('resize', () => {
  it.each([
    ['float16', [1, 1, 2, 2], { mode: 'linear' }],
    ['float32', [1, 1, 0.6, 1.7], { mode: 'cubic', coordinateTransformationMode: 'align_corners' }],
    ['float32', [1, 1, 0.4, 0.3], { mode: 'linear', antialias: true }],
    ['uint8', [1, 1, 1.5, 3], { mode: 'linear' }],
    ['int64', [1, 1, 2, 2], { mode: 'nearest', coordinateTransformationMode: 'asymmetric', nearestMode: 'floor' }],
    ['float32', [1, 2, 1, 1], { mode: 'nearest' }],
  ] as [DType, number[], Record<string, unknown>][])('%s by %j %j', async (dtype, scales, attributes) => {
    for (const layout of ['rows', 'channelsLast'] as const)
      await compare({
        inputs: [{ dtype, dims: [2, 8, 9, 11], ...(dtype === 'uint8' && { fill: (i: number) => (i * 29) % 256 }) }],
        graph: (b, x) => b.op('resize', [x, undefined, floats(b, scales)], attributes as never),
        tolerance: dtype === 'uint8' ? 1 / 200 : dtype === 'float16' ? 1e-3 : 1e-5,
        pick: (c) => c.outputs[0] === layout,
      });
  });
});

describe.skipIf(!hasDevice)('random', () => {
  it.each(['randomUniform', 'randomNormal'])('%s draws what the reference draws', (op) =>
    compare({
      inputs: [],
      graph: (b) => b.op(op, [], { dims: [7, 33], dtype: 'float32', seed: 1234.5 }),
      tolerance: 1e-6,
    }),
  );
});

describe.skipIf(!hasDevice)('recurrent layers', () => {
  it.each([
    ['lstm', 4, { direction: 'bidirectional' }],
    ['lstm', 4, { direction: 'reverse', inputForget: 1, clip: 0.5 }],
    ['gru', 3, { direction: 'bidirectional', linearBeforeReset: 1 }],
    ['gru', 3, { direction: 'forward' }],
    ['rnn', 1, { direction: 'bidirectional', activations: ['Relu', 'ScaledTanh'], activationAlpha: [0.7] }],
  ] as [string, number, Record<string, unknown>][])('%s of %i gates %j', (op, gates, attributes) => {
    const directions = attributes['direction'] === 'bidirectional' ? 2 : 1;
    const [steps, batch, inputs, size] = [6, 3, 20, op === 'rnn' ? 37 : 64];
    const tensor = (...dims: number[]) => ({ dtype: 'float32' as DType, dims });
    const state = tensor(directions, batch, size);
    return compare({
      inputs: [
        tensor(steps, batch, inputs),
        tensor(directions, gates * size, inputs),
        tensor(directions, gates * size, size),
        tensor(directions, 2 * gates * size),
        { dtype: 'int32', dims: [batch], fill: (i) => [6, 0, 4][i]! },
        state,
        ...(op === 'lstm' ? [state, tensor(directions, 3 * size)] : []),
      ],
      graph: (b, ...values) => b.node(op, values, { hiddenSize: size, ...attributes }),
      tolerance: 2e-5,
    });
  });
});
