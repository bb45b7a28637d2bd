/** com.microsoft's normalizations against ONNX Runtime. */

import { Tensor } from '@tensorwright/core';
import { describe, it } from 'vitest';
import {
  expectClose,
  expectLikeOrt,
  integers,
  numbers,
  runHere,
  runOrt,
  sequenceAxes,
} from './support/against-onnxruntime.js';
import { constant, type OneNode } from './support/one-node-model.js';

const domain = 'com.microsoft';
const symbolic = sequenceAxes;
const [x, skip] = [numbers([2, 3, 8], 1), numbers([2, 3, 8], 2)];
const [gamma, beta, bias] = [constant(numbers([8], 3)), constant(numbers([8], 4)), constant(numbers([8], 5))];

describe('SkipLayerNormalization', () => {
  const node = (inputs: OneNode['inputs'], outputs: OneNode['outputs'] = ['float32']): OneNode => ({
    op: 'SkipLayerNormalization',
    domain,
    inputs,
    attributes: { epsilon: { float: 1e-5 } },
    outputs,
  });
  it('normalizes the sum', () => expectLikeOrt(node([x, skip, gamma, beta]), { symbolic }));
  it('takes a bias and gives the sum', () =>
    expectLikeOrt(node([x, skip, gamma, beta, bias], ['float32', undefined, undefined, 'float32']), { symbolic }));
  it('goes without beta', () => expectLikeOrt(node([x, skip, gamma]), { symbolic }));
});

describe('SkipSimplifiedLayerNormalization', () => {
  const node = (inputs: OneNode['inputs'], outputs: OneNode['outputs'] = ['float32']): OneNode => ({
    op: 'SkipSimplifiedLayerNormalization',
    domain,
    inputs,
    attributes: { epsilon: { float: 1e-5 } },
    outputs,
  });
  it('normalizes the sum', () => expectLikeOrt(node([x, skip, gamma]), { symbolic }));
  it('takes a bias and gives the sum', () =>
    expectLikeOrt(node([x, skip, gamma, bias], ['float32', undefined, undefined, 'float32']), { symbolic }));
});

describe('SimplifiedLayerNormalization', () => {
  const node: OneNode = {
    op: 'SimplifiedLayerNormalization',
    inputs: [x, gamma],
    attributes: { epsilon: { float: 1e-5 }, axis: -1 },
  };
  it('is in the default domain', () => expectLikeOrt(node, { symbolic }));
  it('gives the inverse root mean square', () =>
    expectLikeOrt({ ...node, outputs: ['float32', 'float32'] }, { symbolic }));
});

describe('EmbedLayerNormalization', () => {
  const ids = integers('int32', [2, 3], 0, 9, 1);
  const segments = integers('int32', [2, 3], 0, 1, 2);
  const [words, positions, kinds] = [
    constant(numbers([10, 8], 1)),
    constant(numbers([6, 8], 2)),
    constant(numbers([2, 8], 3)),
  ];
  const node = (inputs: OneNode['inputs'], outputs: OneNode['outputs']): OneNode => ({
    op: 'EmbedLayerNormalization',
    domain,
    inputs,
    attributes: { epsilon: { float: 1e-5 } },
    outputs,
  });
  it('sums three embeddings', () =>
    expectLikeOrt(node([ids, segments, words, positions, kinds, gamma, beta], ['float32', 'int32'])));
  it('counts the mask', () =>
    expectLikeOrt(
      node(
        [ids, segments, words, positions, kinds, gamma, beta, new Tensor('int32', [1, 1, 0, 1, 1, 1], [2, 3])],
        ['float32', 'int32'],
      ),
    ));
  it('goes without segments', () =>
    expectLikeOrt(node([ids, undefined, words, positions, undefined, gamma, beta], ['float32', 'int32'])));
});

describe('GroupNorm', () => {
  /** [N, H, W, C] as [N, C, H, W], or the other way round. */
  const moved = (t: Tensor, perm: readonly number[]): Promise<Tensor[]> =>
    runOrt({ op: 'Transpose', inputs: [t], attributes: { perm } });
  const image = numbers([2, 3, 3, 4], 6);
  const parameters = [constant(numbers([4], 7)), constant(numbers([4], 8))];
  const expected = async (input: Tensor): Promise<Tensor[]> => {
    const [first] = await moved(input, [0, 3, 1, 2]);
    const [y] = await runOrt({
      op: 'GroupNormalization',
      opset: 21,
      inputs: [first!, ...parameters],
      attributes: { num_groups: 2 },
    });
    return moved(y!, [0, 2, 3, 1]);
  };

  it("is ONNX's with the channels last", async () => {
    const got = await runHere({
      op: 'GroupNorm',
      domain,
      inputs: [image, ...parameters],
      attributes: { groups: 2, activation: 0 },
    });
    expectClose(got, await expected(image), {});
  });
  it('adds a skip input and a bias', async () => {
    const [added] = await runOrt({ op: 'Add', inputs: [image, image] });
    const got = await runHere({
      op: 'SkipGroupNorm',
      domain,
      inputs: [image, ...parameters, image, constant(new Tensor('float32', [0, 0, 0, 0]))],
      attributes: { groups: 2, activation: 0 },
      outputs: ['float32', 'float32'],
    });
    expectClose(got, [(await expected(added!))[0]!, added!], {});
  });
});
