/** What cuDNN is asked while a plan is built, and what of its answers is kept. */

import {
  type Candidate,
  type EmitContext,
  GraphBuilder,
  type MemoryView,
  type Node,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { hasDevice } from './compare.js';
import { isEmulated, play, traced } from './support/emulator-play.js';

vi.setConfig({ testTimeout: 120_000 });

const status = loadNative().cuda.status();
const hasLibrary = status.available && status.cudnn.version !== undefined;
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-questions-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  play('');
});

const b = new GraphBuilder();
const side = [8, 5, 6];

/** One that every version of the library has engines for. */
function common(): Node {
  const [x, w] = [
    [2, 16, 9, 9],
    [16, 16, 3, 3],
  ].map((dims, i) => b.input(`c${String(i)}`, tensorType('float16', dims))) as [Value, Value];
  return b.node('conv', [x, w], { strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], group: 1 })[0]!.node;
}

/** A convolution and what is added to it, as one group; each test has one of its own. */
function convolution(images: number): Node {
  const types = [[images, 6, 5, 6], [8, 6, 1, 1], side].map((dims) => tensorType('float32', dims));
  const inputs = types.map((type, i) => b.input(`x${String(i)}`, type));
  const [x, w, other] = types.map((type, i) => b.input(`g${String(i)}`, type)) as [Value, Value, Value];
  const attributes = { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], group: 1 };
  const sum = b.op('add', [b.op('conv', [x, w], attributes), other]);
  return b.node('group', inputs, { kind: 'sample' }, [{ inputs: [x, w, other], outputs: [sum] }])[0]!.node;
}

const ofLibrary = (node: Node): Candidate[] => cudaBackend.candidates(node).filter((c) => c.source === 'cudnn');

describe.skipIf(!hasDevice || !hasLibrary)('questions to cuDNN', () => {
  it('are asked before candidates are, off the thread', async () => {
    const node = common();
    const question = cudaBackend.prepare!(node);
    expect(ofLibrary(node)).toEqual([]);
    await question;
    expect(ofLibrary(node).length).toBeGreaterThan(0);
    expect(ofLibrary(common()).length).toBeGreaterThan(0);
  });

  it.skipIf(!isEmulated)('are asked again where there was no memory for an answer', async () => {
    const node = convolution(3);
    play('cudnn:4003');
    await cudaBackend.prepare!(node);
    expect(ofLibrary(node)).toEqual([]);
    play('');
    await cudaBackend.prepare!(node);
    expect(ofLibrary(node).length).toBeGreaterThan(0);
  });

  it.skipIf(!isEmulated)('are asked once where the library has nothing', async () => {
    const node = convolution(4);
    play('cudnn:3000');
    await cudaBackend.prepare!(node);
    play('');
    await cudaBackend.prepare!(node);
    expect(ofLibrary(node)).toEqual([]);
  });

  // Its channels are the first of its three axes: as the second of four they lie innermost.
  it.skipIf(!isEmulated).each([
    ['as the engine was chosen for', [1, 48, 8], 0],
    ['otherwise', [30, 1, 5], 1],
  ])('are asked of operands of fewer axes that lie %s', async (_, strides, questions) => {
    const node = convolution(5);
    await cudaBackend.prepare!(node);
    const [candidate] = ofLibrary(node);
    const dense = (dims: readonly number[]): MemoryView => {
      const [, c, h, w] = dims as [number, number, number, number];
      return { offset: 0, dims, strides: [c * h * w, 1, w * c, c] };
    };
    const views = [dense([5, 6, 5, 6]), dense([8, 6, 1, 1]), { offset: 0, dims: side, strides }];
    const context = { view: (i: number) => views[i], outputView: () => dense([5, 8, 5, 6]) } as Partial<EmitContext>;
    const lines = await traced(join(folder, 'trace'), async () => {
      const step = await cudaBackend.emit(node, candidate!, context as EmitContext);
      expect(step.kernel).toBe('cudnn');
    });
    expect(lines.filter((l) => l === 'cudnn plan made')).toHaveLength(questions);
  });
});
