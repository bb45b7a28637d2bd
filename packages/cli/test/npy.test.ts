import { Tensor, tensorFromNumbers } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { readNpy, writeNpy } from '../src/models/npy.js';

/** What numpy.save of NumPy 2 has written. */
const files = {
  matrix:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAMA/AAAAwAAAgH8=',
  scalar:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKCksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoHAAAAAAAAAA==',
  booleans:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnfGIxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAA==',
  empty:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGYyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDAsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo=',
  complex:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGM4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAIA/AAAAQA==',
  bigEndian:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPmk0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAB',
  fortran:
    'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hhcGUnOiAoMiwgMiksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAAAAAAAAAAAA',
};
const bytes = (name: keyof typeof files): Uint8Array => Buffer.from(files[name], 'base64');
const same = (text: string): string => text.replaceAll(' ', '');

describe('.npy files', () => {
  const cases: [keyof typeof files, Tensor][] = [
    ['matrix', new Tensor('float32', Float32Array.of(1.5, -2, Infinity), [1, 3])],
    ['scalar', new Tensor('int64', BigInt64Array.of(7n), [])],
    ['booleans', new Tensor('bool', Uint8Array.of(1, 0), [2])],
    ['empty', new Tensor('float16', new Uint16Array(0), [0, 3])],
    ['complex', new Tensor('complex64', Float32Array.of(1, 2), [1])],
  ];

  it.each(cases)("are read and written as NumPy's: %s", (name, tensor) => {
    expect(readNpy(bytes(name))).toEqual(tensor);
    // The header's blanks are the writer's own.
    expect(same(Buffer.from(writeNpy(tensor)).toString('latin1'))).toBe(
      same(Buffer.from(bytes(name)).toString('latin1')),
    );
    expect(readNpy(writeNpy(tensor))).toEqual(tensor);
  });

  it('begin their data at a multiple of 64, whatever the shape', () => {
    for (let rank = 0; rank < 24; rank++) {
      const file = writeNpy(new Tensor('uint8', Uint8Array.of(9), Array<number>(rank).fill(1)));
      expect(file.length % 64).toBe(1);
    }
  });

  it('hold what NumPy lacks in a wider dtype', () => {
    const widened = (dtype: 'bfloat16' | 'float8e4m3fn' | 'int4' | 'uint4'): Tensor =>
      readNpy(writeNpy(tensorFromNumbers(dtype, Float64Array.of(1, 2, 3), [3])));
    expect(widened('bfloat16')).toEqual(new Tensor('float32', Float32Array.of(1, 2, 3), [3]));
    expect(widened('float8e4m3fn').dtype).toBe('float32');
    expect(widened('int4')).toEqual(new Tensor('int8', Int8Array.of(1, 2, 3), [3]));
    expect(widened('uint4').dtype).toBe('uint8');
  });

  it.each([
    ['of other bytes', 'astype', bytes('bigEndian')],
    ['in Fortran order', 'ascontiguousarray', bytes('fortran')],
    ['that are none', 'no .npy file', Buffer.from('PK and more of a .npz')],
    ['that end too soon', 'needs 12 bytes', bytes('matrix').subarray(0, -4)],
  ])('%s are refused', (_, message, file) => {
    expect(() => readNpy(file)).toThrow(message);
  });
});
