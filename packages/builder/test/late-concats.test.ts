/** Concats of which one is the beginning of another, whose extent only the values decide. */

import { test } from 'vitest';
import { ModelWriter } from './support/model-writer.js';
import { expectLikeOnnxRuntime, integers, numbers } from './support/whole-path.js';

test('the longer one is made when its extent is known', async () => {
  const m = new ModelWriter();
  const x = m.input('x', 'float32', [2, 6]);
  const twice = m.node('Add', [x, x]);
  const picked = m.node(
    'Compress',
    [
      x,
      m.node('Greater', [
        m.node('ReduceSum', [x, m.weight(integers([1]))], { keepdims: 0 }),
        m.weight(numbers([1], 1, 1e-3)),
      ]),
    ],
    { axis: 0 },
  );
  const short = m.node('Concat', [x, twice], { axis: 0 });
  const long = m.node('Concat', [x, twice, m.node('Neg', [picked])], { axis: 0 });
  m.output(m.node('Tanh', [short]), 'float32', [4, 6]);
  const model = m.output(m.node('Abs', [long]), 'float32', ['count', 6]).bytes();
  await expectLikeOnnxRuntime(
    model,
    [1, 2, 3].map((seed) => ({ x: numbers([2, 6], seed) })),
  );
});
