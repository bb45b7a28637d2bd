/** What importers leave for a run to check: extents of two symbols that broadcast to each other. */

import { agreementsOf, formatDim, GraphBuilder, tensorType, topologicalOrder } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { describe, expect, it } from 'vitest';
import { modelBytes, node, tensorInfo } from './support/handmade-model.js';

describe('Expand', () => {
  const agreementsOfExpand = async (x: readonly (number | string)[], like: readonly string[]): Promise<string[]> => {
    const { graph } = await OnnxParser.parse(
      modelBytes({
        input: [tensorInfo('x', x), tensorInfo('like', like)],
        node: [node('Shape', ['like'], ['shape']), node('Expand', ['x', 'shape'], ['y'])],
        output: [tensorInfo('y', ['r', 'c'])],
      }),
    );
    return topologicalOrder(graph)
      .flatMap(agreementsOf)
      .map(({ left, right, mayBeOne }) => `${formatDim(left)} ${formatDim(right)} ${mayBeOne}`);
  };

  it('takes a shape that the input broadcasts with, not the larger of the two', async () => {
    expect(await agreementsOfExpand(['n', 3], ['m', 'k'])).toEqual(['m n either', 'k 3 either']);
    expect(await agreementsOfExpand(['n', 1], ['n', 'k'])).toEqual([]);
  });
});

describe('an operator whose operands broadcast to one side', () => {
  const b = new GraphBuilder();
  const input = (...dims: number[]) => b.input('x', tensorType('float32', dims));
  it.each([
    ['scales of a normalization', () => b.op('layerNorm', [input(4, 8), input(7)]), /axis -1: 8 and 7 differ/],
    ['what x would broadcast to', () => b.op('rmsNorm', [input(1, 8), input(4, 8)]), /axis -2: 1 and 4 differ/],
    ['more axes than x has', () => b.op('layerNorm', [input(8), input(4, 8)]), /input 1 has more axes than x/],
    [
      'a mask of other heads',
      () => {
        const x = input(1, 2, 4, 8);
        return b.op('attention', [x, x, x, input(1, 3, 4, 4)]);
      },
      /axis -3 of scores and mask: 2 and 3 differ/,
    ],
    ['a larger source', () => b.op('expand', [input(4)], { dims: [1] }), /does not broadcast to/],
  ])('refuses %s', (_, make, message) => {
    expect(make).toThrow(message);
  });
});
