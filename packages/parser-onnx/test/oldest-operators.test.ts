/** Forms before opset 7, which ONNX Runtime no longer reads: against the same computation in a form that it does. */

import { Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import { expectClose, numbers, runHere, runOrt } from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const x = numbers([2, 3, 4], 1, 3);
const same = async (old: OneNode, now: OneNode): Promise<void> => {
  expectClose(await runHere(old), await runOrt({ opset: 17, ...now }), {});
};

describe('operands aligned by axis', () => {
  const b = numbers([3], 2);
  const spread = b.reshape([3, 1]);
  for (const op of ['Add', 'Sub', 'Mul', 'Div', 'Pow']) {
    it(op, async () => {
      const a = op === 'Pow' ? new Tensor('float32', x.data.map(Math.abs), x.dims) : x;
      await same({ op, opset: 6, inputs: [a, b], attributes: { broadcast: 1, axis: 1 } }, { op, inputs: [a, spread] });
      await same(
        { op, opset: 1, inputs: [a, numbers([3, 4], 3)], attributes: { broadcast: 1 } },
        { op, inputs: [a, numbers([3, 4], 3)] },
      );
    });
  }
  it('Greater and Equal', async () => {
    await same(
      { op: 'Greater', opset: 6, inputs: [x, b], attributes: { broadcast: 1, axis: -2 }, outputs: ['bool'] },
      { op: 'Greater', inputs: [x, spread], outputs: ['bool'] },
    );
    const [i, k] = [new Tensor('int32', [1, 2, 3, 4], [2, 2]), new Tensor('int32', [1, 3])];
    await same(
      { op: 'Equal', opset: 1, inputs: [i, k], attributes: { broadcast: 1, axis: 0 }, outputs: ['bool'] },
      { op: 'Equal', inputs: [i, k.reshape([2, 1])], outputs: ['bool'] },
    );
  });
});

it('Cast names its target', () =>
  same(
    { op: 'Cast', opset: 1, inputs: [x], attributes: { to: 'INT32' }, outputs: ['int32'] },
    { op: 'Cast', inputs: [x], attributes: { to: 6 }, outputs: ['int32'] },
  ));

it('PRelu has a slope per channel', async () => {
  const slope = numbers([3], 4);
  await same({ op: 'PRelu', opset: 6, inputs: [x, slope] }, { op: 'PRelu', inputs: [x, slope.reshape([3, 1])] });
  await same({ op: 'PRelu', opset: 1, inputs: [x, numbers([1], 4)] }, { op: 'PRelu', inputs: [x, numbers([1], 4)] });
});

it('Selu had other defaults', () =>
  same(
    { op: 'Selu', opset: 1, inputs: [x] },
    { op: 'Selu', inputs: [x], attributes: { alpha: { float: 1.6732 }, gamma: { float: 1.0507 } } },
  ));

it('BatchNormalization and Dropout are told that they do not train', async () => {
  const parameters = [numbers([3], 5), numbers([3], 6), numbers([3], 7), new Tensor('float32', [1, 0.5, 2])].map(
    constant,
  );
  for (const opset of [1, 6])
    await same(
      {
        op: 'BatchNormalization',
        opset,
        inputs: [x, ...parameters],
        attributes: { is_test: 1, consumed_inputs: [0, 0, 0, 1, 1] },
      },
      { op: 'BatchNormalization', inputs: [x, ...parameters] },
    );
  await same({ op: 'Dropout', opset: 6, inputs: [x], attributes: { is_test: 1 } }, { op: 'Identity', inputs: [x] });
});

it('BatchNormalization over single elements', async () => {
  const parameters = [1, 2, 3].map((seed) => numbers([3, 4], seed));
  const variance = new Tensor(
    'float32',
    parameters[0]!.data.map((v) => v + 1.5),
    [3, 4],
  );
  const flat = [...parameters, variance].map((t) => constant(t.reshape([12])));
  const want = await runOrt({ op: 'BatchNormalization', opset: 17, inputs: [x.reshape([2, 12]), ...flat] });
  const got = await runHere({
    op: 'BatchNormalization',
    opset: 7,
    inputs: [x, ...[...parameters, variance].map(constant)],
    attributes: { spatial: 0 },
  });
  expectClose(got, [want[0]!.reshape([2, 3, 4])], {});
});

it('operators of the experimental days', async () => {
  const scaled = new Tensor(
    'float32',
    x.data.map((v) => v * 0.5 + 0.25),
    x.dims,
  );
  await same(
    { op: 'Affine', opset: 1, inputs: [x], attributes: { alpha: { float: 0.5 }, beta: { float: 0.25 } } },
    { op: 'Identity', inputs: [scaled] },
  );
  await same(
    { op: 'ScaledTanh', opset: 1, inputs: [x], attributes: { alpha: { float: 1 }, beta: { float: 1 } } },
    { op: 'Tanh', inputs: [x] },
  );
  await same(
    { op: 'ParametricSoftplus', opset: 1, inputs: [x], attributes: { alpha: { float: 1 }, beta: { float: 1 } } },
    { op: 'Softplus', inputs: [x] },
  );
});
