/** Normalizations in products, against the two one after the other. */

import { type DType, elementCount, type GraphBuilder, tensorFromNumbers, type Value } from '@tensorwright/core';
import { describe, it, vi } from 'vitest';
import { compare, hasDevice } from './compare.js';
import { native } from '../src/native.js';

// Read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

function isHopper(): boolean {
  const status = native().cuda.status();
  return status.available && status.devices[0]?.architecture === 'sm_90a';
}

function constant(b: GraphBuilder, dtype: DType, dims: readonly number[], seed: number, around = 0): Value {
  const numbers = Float64Array.from(
    { length: elementCount(dims) },
    (_, i) => around + ((((i + 3) * seed) % 31) - 15) / 32,
  );
  return b.constant(tensorFromNumbers(dtype, numbers, dims));
}

interface Layer {
  readonly dtype?: DType;
  readonly x: readonly number[];
  readonly columns: number;
  readonly op?: 'layerNorm' | 'rmsNorm';
  readonly shift?: boolean;
  readonly activation?: boolean;
  readonly symbols?: readonly (string | undefined)[];
  readonly parameters?: Readonly<Record<string, number>>;
}

function normalize(layer: Layer): Promise<void> {
  const { dtype = 'float16', x, columns, op = 'layerNorm', shift = true, symbols, parameters = {} } = layer;
  const length = x.at(-1)!;
  return compare({
    // A tensor map has no empty axis.
    least: 1,
    // Rows that lie beside zero, each its own way.
    inputs: [
      {
        dtype,
        dims: x,
        fill: (i) => Math.sin(i * 1.3) * (1 + (i % 5)) + Math.floor(i / length) / 3,
        ...(symbols && { symbols }),
      },
    ],
    graph: (b, rows) => {
      const scale = constant(b, dtype, [length], 7919, 1);
      const norm =
        op === 'rmsNorm'
          ? b.op('rmsNorm', [rows, scale], { axis: -1, epsilon: 1e-6 })
          : b.op('layerNorm', [rows, scale, shift ? constant(b, dtype, [length], 7907) : undefined], { epsilon: 1e-5 });
      const labels = 'abcd'.slice(0, x.length - 1);
      const product = b.op('dot', [norm, constant(b, dtype, [length, columns], 104729)], {
        lhs: `${labels}k`,
        rhs: 'kn',
        out: `${labels}n`,
      });
      const biased = b.op('add', [product, constant(b, dtype, [columns], 31337)]);
      return layer.activation === true ? b.op('relu', [biased]) : biased;
    },
    // The reference rounds what is normalized, we round the weights that are scaled.
    tolerance: dtype === 'float16' ? 3e-3 : 2.5e-2,
    steps: ['cuda.normalizedProduct'],
    force: { tactic: 'cuda.normalizedProduct', parameters },
  });
}

describe.skipIf(!hasDevice || !isHopper())('a normalization and the product that reads it', () => {
  it.each<[string, Layer]>([
    ['layer normalization of three axes', { x: [2, 35, 96], columns: 128 }],
    ['a depth that ends in the middle of a step', { x: [70, 104], columns: 72 }],
    ['without a shift', { x: [65, 64], columns: 48, shift: false }],
    ['bfloat16, with an activation', { dtype: 'bfloat16', x: [130, 192], columns: 96, activation: true }],
    ['root mean squares', { x: [67, 128], columns: 64, op: 'rmsNorm' }],
    ['rows whose number the run knows', { x: [30, 64], columns: 64, symbols: ['n', undefined] }],
    ['one row', { x: [1, 256], columns: 40 }],
  ])('%s', (_, layer) => normalize(layer));

  it('tells normalizations apart that share weights and scale', () =>
    compare({
      inputs: [{ dtype: 'float16', dims: [65, 64], fill: (i) => Math.sin(i * 1.3) * (1 + (i % 5)) }],
      graph: (b, rows) => {
        const scale = constant(b, 'float16', [64], 7919, 1);
        const weights = constant(b, 'float16', [64, 64], 104729);
        return [7907, 31337].map((seed) =>
          b.op(
            'dot',
            [b.op('layerNorm', [rows, scale, constant(b, 'float16', [64], seed)], { epsilon: 1e-5 }), weights],
            {
              lhs: 'ak',
              rhs: 'kn',
              out: 'an',
            },
          ),
        );
      },
      tolerance: 3e-3,
      steps: ['cuda.normalizedProduct', 'cuda.normalizedProduct'],
      force: { tactic: 'cuda.normalizedProduct', parameters: {} },
    }));

  it.each([
    { rows: 64, columns: 32, together: 1, turns: 1, stages: 3, shares: 1, blocks: 1 },
    { rows: 64, columns: 64, together: 1, turns: 2, stages: 4, shares: 1, blocks: 1 },
    { rows: 128, columns: 96, together: 2, turns: 1, stages: 2, shares: 1, blocks: 1 },
    { rows: 128, columns: 32, together: 1, turns: 1, stages: 3, shares: 2, blocks: 1 },
    { rows: 256, columns: 32, together: 2, turns: 1, stages: 2, shares: 1, blocks: 1 },
    { rows: 64, columns: 64, together: 1, turns: 2, stages: 4, shares: 4, blocks: 1 },
  ])('in tiles of $rows x $columns, $together together, $turns turns, $shares shared', (parameters) =>
    normalize({ x: [3, 100, 200], columns: 200, parameters }),
  );
});
