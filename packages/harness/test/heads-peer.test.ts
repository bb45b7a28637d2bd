/** The peer is let go where it fails. */

import { Tensor } from '@tensorwright/core';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { initializer, input, model, node, output } from '../../cli/test/support/small-model.js';
import { compareHeads } from '../src/zoo/heads.js';

const release = vi.hoisted(() => vi.fn(() => Promise.resolve()));
vi.mock('../src/zoo/peer.js', () => ({
  openPeer: () => Promise.resolve({ run: () => Promise.reject(new Error('it fails')), release }),
}));

const folder = mkdtempSync(join(tmpdir(), 'tensorwright-heads-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('compareHeads', async () => {
  const path = join(folder, 'selects.onnx');
  const graph = [
    node('MatMul', 'head', ['x', 'w'], ['scores']),
    node('NonZero', 'select', ['scores'], ['places']),
    initializer('w', [2, 2], [1, 0, 0, 1]),
    input('x', [1, 2]),
    output('scores', [1, 2]),
  ];
  writeFileSync(path, model(...graph));
  const x = new Tensor('float32', Float32Array.of(1, 2), [1, 2]);
  await expect(compareHeads(path, { backends: ['reference'] }, 1, { x })).rejects.toThrow('it fails');
  expect(release).toHaveBeenCalledTimes(1);
});
