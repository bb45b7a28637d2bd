/** Without the addon: reference plans run, others say what is missing. */

import { Tensor } from '@tensorwright/core';
import { expect, test, vi } from 'vitest';
import { Runtime } from '../src/index.js';
import { denseExample } from './support/examples.js';
import { planBytes } from './support/hand-made.js';

vi.mock('@tensorwright/native', () => ({
  loadNative: () => {
    throw new Error('no addon for this platform');
  },
}));

test('a plan of the reference backend runs', async () => {
  await using engine = await Runtime.load(planBytes(await denseExample()));
  await using context = engine.createContext();
  expect((await context.run({ x: new Tensor('float32', [1, 2, 3], [1, 3]) }))['y']!.dims).toEqual([1, 2]);
});

test('a plan with native segments names the backend and the reason', async () => {
  const { header, weights } = await denseExample();
  const [segment] = header.program.segments;
  const program = { ...header.program, segments: [{ ...segment!, backend: 'cpu' }] };
  const plan = planBytes({
    header: { ...header, backends: [{ name: 'cpu', version: '0.1.0', needs: [] }], program },
    weights,
  });
  await expect(Runtime.load(plan)).rejects.toMatchObject({
    code: 'ERR_BACKEND_UNAVAILABLE',
    message: expect.stringMatching(/needs backend 'cpu'.*no addon for this platform/),
  });
});
