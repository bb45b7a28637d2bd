/** Windows with other pads at the end of an axis than at its beginning, on every backend. */

import { describe, test } from 'vitest';
import { type Attribute, ModelWriter } from '../../builder/test/support/model-writer.js';
import { expectLikeOnnxRuntime, numbers } from '../../builder/test/support/whole-path.js';
import { hasDevice } from './compare.js';

const extents = [2, 8, 9, 11];
const backends = [['cpu', 'reference'], ['reference'], ...(hasDevice ? [['cuda', 'cpu']] : [])];

describe.each(backends)('windows on %s', (...names) => {
  const options = { backends: names, optimizationLevel: 0 } as const;
  const check = async (
    make: (m: ModelWriter, x: string) => string,
    dims: readonly number[] = extents,
  ): Promise<void> => {
    const m = new ModelWriter();
    const y = make(m, m.input('x', 'float32', dims));
    await expectLikeOnnxRuntime(m.output(y, 'float32').bytes(), [{ x: numbers(dims, 3) }], options);
  };
  const kernel = { kernel_shape: [3, 4], strides: [2, 1] } as const;

  test.each<[string, Record<string, Attribute>]>([
    ['MaxPool', { pads: [0, 2, 1, 0] }],
    ['MaxPool', { pads: [2, 0, 0, 3], ceil_mode: 1 }],
    ['MaxPool', { auto_pad: 'SAME_UPPER' }],
    ['MaxPool', { auto_pad: 'SAME_LOWER' }],
    ['AveragePool', { pads: [0, 2, 1, 0] }],
    ['AveragePool', { pads: [2, 0, 0, 3], count_include_pad: 1 }],
    ['AveragePool', { pads: [0, 1, 2, 2], count_include_pad: 1, ceil_mode: 1 }],
    ['AveragePool', { auto_pad: 'SAME_UPPER' }],
    ['LpPool', { pads: [1, 0, 2, 1] }],
  ])('%s with %o', (op, attributes) => check((m, x) => m.node(op, [x], { ...kernel, ...attributes })));

  test.each<[string, number, Record<string, Attribute>]>([
    ['of all channels', 1, { pads: [0, 2, 1, 0] }],
    ['of all channels', 1, { pads: [2, 0, 0, 3], strides: [2, 3] }],
    ['of all channels', 1, { auto_pad: 'SAME_LOWER', strides: [2, 2] }],
    ['of each channel', 8, { pads: [0, 2, 1, 0] }],
    ['of each channel', 8, { pads: [2, 0, 0, 3], strides: [2, 2] }],
  ])('convolutions %s, %i groups, with %o', (_, group, attributes) =>
    check((m, x) => m.node('Conv', [x, m.weight(numbers([8, 8 / group, 3, 4], 5))], { group, ...attributes })),
  );

  test('a convolution turned round', () =>
    check((m, x) =>
      m.node('ConvTranspose', [x, m.weight(numbers([8, 5, 3, 4], 5))], { pads: [0, 2, 1, 0], strides: [2, 3] }),
    ));

  test.each([
    ['Conv', [0, 2, 1, 0], [1, 0, 0, 2]],
    ['Conv', [3, 2, 2, 3], [0, 1, 1, 0]],
  ])('a first %s with pads %o and the pooling of its result with pads %o', (op, pads, pooled) =>
    check(
      (m, x) => {
        const y = m.node(op, [x, m.weight(numbers([16, 3, 7, 7], 5))], { pads, strides: [2, 2] });
        return m.node('MaxPool', [m.node('Relu', [y])], { kernel_shape: [3, 3], strides: [2, 2], pads: pooled });
      },
      [1, 3, 37, 42],
    ),
  );
});
