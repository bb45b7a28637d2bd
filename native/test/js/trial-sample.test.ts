/** What a trial gives of a large tensor: elements at places that depend on its size alone. */

import { loadNative, type PlanProgram, type Trial } from '@tensorwright/native';
import { describe, expect, test } from 'vitest';
import { numbersOf, ProgramBuilder } from './support/program-builder.js';

const native = loadNative();
const sampleSize = 2 ** 20;
const rows = 1571;
const columns = 2003;
const count = rows * columns;

/** 1, 2, 3 … in rows, as a copy leaves them that stores them in this order of axes. */
function numbered(order: readonly number[]): PlanProgram {
  const b = new ProgramBuilder();
  const x = b.input('float32', [count]);
  const ones = b.heap('float32', [count]);
  const places = b.heap('float32', [count]);
  const y = b.heap('float32', [rows, columns], order[0] === 0 ? {} : { order: [...order] });
  b.map(['in f32 0', 'const f32 0', 'mul f32 0 1', 'const f32 1', 'add f32 2 3'], [x], ones);
  b.step('cumSum', { axis: 0 }, [ones], [places]);
  b.step('copy', {}, [{ value: places, dims: [rows, columns], strides: [columns, 1] }], [y]);
  return b.build([y]);
}

async function trialOf(description: PlanProgram): Promise<Trial> {
  using program = native.createProgram(description, null);
  return await native.try(program, [[count]], { outputs: true, maxRuns: 0 });
}

describe('the result of a trial', () => {
  test('of a large tensor is a sample of the full result, the same for tactics of other layouts', async () => {
    const inRows = await trialOf(numbered([0, 1]));
    const inColumns = await trialOf(numbered([1, 0]));
    expect(inRows.outputs[0]!.dims).toEqual([sampleSize]);
    const sample = inRows.outputs[0]!.data as Float32Array;
    expect(Buffer.compare(bytesOf(inColumns.outputs[0]!.data), bytesOf(sample))).toBe(0);
    using program = native.createProgram(numbered([1, 0]), null);
    using context = program.createContext();
    const [full] = await context.run([{ dtype: 'float32', dims: [count], data: new Float32Array(count) }]);
    expect(full!.dims).toEqual([rows, columns]);
    const all = full!.data as Float32Array;
    // Each element tells its place, which is in a stretch of its own; only the last stretch is longer.
    const stretch = Math.floor(count / sampleSize);
    const wrong = sample.findIndex((v, i) => {
      const place = v - 1;
      const end = i === sampleSize - 1 ? count : (i + 1) * stretch;
      return !(place >= i * stretch && place < end && all[place] === v);
    });
    expect(wrong).toBe(-1);
    // They lie anywhere in it.
    const offsets = new Set(Array.from(sample.subarray(0, 1000), (v, i) => v - 1 - i * stretch));
    expect(offsets.size).toBe(stretch);
  });

  test('of a small one is all of it', async () => {
    const b = new ProgramBuilder();
    const x = b.input('float32', [3, 5]);
    const y = b.heap('float32', [3, 5], { order: [1, 0] });
    b.map(['in f32 0', 'const f32 0', 'mul f32 0 1', 'const f32 7', 'add f32 2 3'], [x], y);
    using program = native.createProgram(b.build([y]), null);
    const { outputs } = await native.try(program, [[3, 5]], { outputs: true, maxRuns: 0 });
    expect(outputs[0]!.dims).toEqual([3, 5]);
    expect(numbersOf(outputs[0])).toEqual(new Array<number>(15).fill(7));
  });
});

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
