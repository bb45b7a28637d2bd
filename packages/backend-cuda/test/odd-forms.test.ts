/** Operators in odd forms by the kernels of processor and device, against ONNX Runtime. */

import { Builder } from '@tensorwright/builder';
import { Tensor, tensorFromNumbers } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { describe, it, vi } from 'vitest';
import { expectClose, integers, numbers, runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import { constant, modelOf, type OneNode } from '../../parser-onnx/test/support/one-node-model.js';
import { hasDevice } from './compare.js';

vi.setConfig({ testTimeout: 120_000 });

const backends = [['cpu', 'reference'], ...(hasDevice ? [['cuda', 'cpu', 'reference']] : [])];

const f32 = (values: readonly number[], dims?: readonly number[]): Tensor => new Tensor('float32', values, dims);
const i64 = (values: readonly number[], dims?: readonly number[]): Tensor => new Tensor('int64', values, dims);

/** @param symbolic whether the run alone knows the extents of the inputs */
async function like(node: OneNode, names: readonly string[], symbolic = false): Promise<void> {
  const model = modelOf(node, (dims) => (symbolic ? dims.map((_, i) => i) : []));
  const plan = await new Builder().build(await OnnxParser.parse(model), { backends: names, optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes());
  await using context = engine.createContext({ poison: true });
  const inputs = node.inputs.flatMap((t, i) => (t instanceof Tensor ? [[`x${String(i)}`, t] as const] : []));
  const results = await context.run(Object.fromEntries(inputs));
  expectClose(Object.values(results), await runOrt(node), {});
}

describe.each(backends)('on %s', (...names) => {
  it.each([0, 1])('GridSample meets the border tap by tap where it is cubic (align_corners %i)', (align_corners) =>
    like(
      {
        op: 'GridSample',
        opset: 20,
        inputs: [numbers([2, 3, 4, 5], 1), numbers([2, 3, 6, 2], 2, 1.5)],
        attributes: { mode: 'cubic', padding_mode: 'border', align_corners },
      },
      names,
    ),
  );

  it.each([0, 1])('GridSample at no place at all, cubic with a border (%i)', (align_corners) =>
    like(
      {
        op: 'GridSample',
        opset: 20,
        inputs: [
          numbers([1, 2, 4, 5], 1),
          f32([Infinity, 0, -Infinity, 0, 0.5, Infinity, NaN, -0.5, 1e10, 0, -3, -1e20, 1e17, 4], [1, 1, 7, 2]),
        ],
        attributes: { mode: 'cubic', padding_mode: 'border', align_corners },
      },
      names,
    ),
  );

  it.each(['QuantizeLinear', 'DequantizeLinear'])('%s of a vector by blocks, the last of which is short', (op) =>
    like(
      {
        op,
        opset: 21,
        inputs: [
          op === 'QuantizeLinear' ? numbers([5], 3, 9) : integers('int8', [5], -99, 99),
          constant(f32([0.1, 0.3, 0.2])),
          constant(new Tensor('int8', [3, -4, 0])),
        ],
        attributes: { axis: 0, block_size: 2 },
        outputs: [op === 'QuantizeLinear' ? 'int8' : 'float32'],
      },
      names,
    ),
  );

  it('GatherBlockQuantized with zero points of four bits', () =>
    like(
      {
        op: 'GatherBlockQuantized',
        domain: 'com.microsoft',
        inputs: [
          constant(
            tensorFromNumbers(
              'uint4',
              Array.from({ length: 96 }, (_, i) => (i * 7) % 16),
              [3, 32],
            ),
          ),
          i64([2, 0]),
          constant(f32([0.1, 0.3, 0.2, 0.5, 0.05, 0.7], [3, 2])),
          constant(tensorFromNumbers('uint4', [1, 7, 15, 0, 9, 4], [3, 2])),
        ],
        attributes: { gather_axis: 0, quantize_axis: 1, block_size: 16 },
        outputs: ['float32'],
      },
      names,
    ));

  it.each([false, true])('Col2Im to an image whose shape the run alone knows (symbolic: %s)', (symbolic) =>
    like(
      {
        op: 'Col2Im',
        opset: 18,
        inputs: [numbers([1, 8, 6], 4), i64([3, 4]), constant(i64([2, 2]))],
        attributes: { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1] },
      },
      names,
      symbolic,
    ),
  );

  it.each(['int16', 'uint8', 'int64', 'uint64'] as const)('Shrink of %s by a fraction', (dtype) =>
    like(
      {
        op: 'Shrink',
        inputs: [tensorFromNumbers(dtype, dtype.startsWith('u') ? [0, 1, 2, 9, 200] : [-9, -1, 0, 2, 90], [5])],
        attributes: { lambd: { float: 1.5 }, bias: { float: 0.5 } },
      },
      names,
    ),
  );

  it.each(['nearest', 'linear'])('Resize (%s) by fractions of extents that the run alone knows', (mode) =>
    like(
      {
        op: 'Resize',
        opset: 13,
        inputs: [numbers([1, 2, 7, 9], 6), undefined, constant(f32([1, 1, 0.6, 1.7]))],
        attributes: { mode, nearest_mode: 'ceil' },
      },
      names,
      true,
    ),
  );

  it.each([1, 2])('DFT of numbers of %i parts, which the run alone counts', (parts) =>
    like({ op: 'DFT', opset: 17, inputs: [numbers([2, 6, parts], 5)], attributes: { axis: 1 } }, names, true),
  );

  it.each([
    [11, false],
    [13, false],
    [11, true],
    [13, true],
  ])('Hardmax of nothing (opset %i, extents that the run knows: %s)', (opset, symbolic) =>
    like(
      { op: 'Hardmax', opset, inputs: [Tensor.zeros('float32', [3, 0])], attributes: { axis: -1 } },
      names,
      symbolic,
    ),
  );

  it.each([1, 0])('Hardmax along axis %i, which might be empty', (axis) =>
    like(
      { op: 'Hardmax', opset: 13, inputs: [f32([-Infinity, -Infinity, 2, 2, -1, 3], [3, 2])], attributes: { axis } },
      names,
      true,
    ),
  );
});
