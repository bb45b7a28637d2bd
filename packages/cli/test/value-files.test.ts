import { type DType, readNumbers, Tensor } from '@tensorwright/core';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeNpy } from '../src/models/npy.js';
import { readValueFiles } from '../src/models/value-files.js';
import { temporaryFolder } from './support/run-command.js';

const folder = temporaryFolder(afterAll);

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function read(path: string, dtype: DType): Promise<Tensor | Uint8Array> {
  return (await readValueFiles('--load-inputs', [`x:${path}`], [{ name: 'x', dtype }])).get('x')!.content;
}

/** TensorProto { dims: 2; data_type; raw_data } */
function proto(dataType: number, data: ArrayBufferView): Uint8Array {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return Uint8Array.of(8, 2, 16, dataType, 74, raw.length, ...raw);
}
const float64 = 11;

describe('files of values', () => {
  const wide = file('wide.npy', writeNpy(new Tensor('int64', BigInt64Array.of(7n, 300n), [2])));

  it('are read as the input has them', async () => {
    expect(await read(wide, 'int16')).toEqual(new Tensor('int16', Int16Array.of(7, 300), [2]));
    const path = file('double.pb', proto(float64, Float64Array.of(0.5, 0.1)));
    const converted = (await read(path, 'float32')) as Tensor;
    expect({ dtype: converted.dtype, values: [...readNumbers(converted)] }).toEqual({
      dtype: 'float32',
      values: [0.5, Math.fround(0.1)],
    });
  });

  it.each([
    ['elements that do not fit', () => wide, 'uint8', /wide\.npy': element \[1\] is 300, which 'x' of uint8 does not/],
    [
      'elements of another kind',
      () => file('other.pb', proto(float64, Float64Array.of(1, 2))),
      'int64',
      /other\.pb': it has float64 elements, and 'x' is int64/,
    ],
    ['bytes that are no message', () => file('broken.pb', Uint8Array.of(8, 2, 74, 200)), 'float32', /broken\.pb': /],
    ['an empty .npy file', () => file('empty.npy', new Uint8Array(0)), 'float32', /empty\.npy': it is no \.npy file/],
    [
      'half a header',
      () => file('half.npy', writeNpy(Tensor.zeros('int8', [2])).subarray(0, 40)),
      'int8',
      /half\.npy': /,
    ],
    ['a file that is not there', () => join(folder, 'none.npy'), 'int8', /none\.npy': there is no such file/],
    ['a folder', () => folder, 'int8', /': it is a folder/],
  ] as const)('refuse %s by name', async (_, path, dtype, message) => {
    await expect(read(path(), dtype)).rejects.toMatchObject({
      name: 'CommandError',
      exitCode: 2,
      message: expect.stringMatching(message) as string,
    });
  });

  it.each(['(-1,)', '(-1, -1)', '(1.5,)', '(99999999999999999999,)'])('refuse the shape %s', async (shape) => {
    const text = Buffer.from(writeNpy(Tensor.zeros('int8', [1])))
      .toString('latin1')
      .replace('(1,)', shape);
    const path = file('shape.npy', Buffer.from(text, 'latin1'));
    await expect(read(path, 'int8')).rejects.toThrow(`shape.npy': its shape is ${shape}, which no tensor has`);
  });
});
