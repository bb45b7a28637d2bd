/** Extents that are quotients by an extent that may be 0, of which nothing says how large they get. */

import { test } from 'vitest';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

test('a reshape that infers an extent from halves', async () => {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', ['rows', 'columns']);
  const half = m.node('Div', [m.node('Shape', [x], { start: 1 }), m.weight(integers([2]))]);
  const shape = m.node('Concat', [m.weight(integers([-1])), half, m.weight(integers([2]))], { axis: 0 });
  const y = m.node('Softmax', [m.node('Reshape', [m.node('Relu', [x]), shape])], { axis: 1 });
  await expectLikeOnnxRuntime(m.output(y, 'float32').bytes(), [{ x: numbers([3, 4], 1) }, { x: numbers([2, 6], 2) }], {
    profiles: [{ x: { min: [1, 1], opt: [3, 4], max: [8, 16] } }],
  });
});
