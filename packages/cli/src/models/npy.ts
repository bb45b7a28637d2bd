/** NumPy's files of one array, `.npy`: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */

import { type DType, dtypeInfo, readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';

const magic = '\x93NUMPY';

/** Elements are little-endian, as ours are. */
const descriptors: Readonly<Partial<Record<DType, string>>> = {
  bool: '|b1',
  int8: '|i1',
  uint8: '|u1',
  int16: '<i2',
  uint16: '<u2',
  int32: '<i4',
  uint32: '<u4',
  int64: '<i8',
  uint64: '<u8',
  float16: '<f2',
  float32: '<f4',
  float64: '<f8',
  complex64: '<c8',
  complex128: '<c16',
};

/** @throws Error that says what is wrong with the file */
export function readNpy(bytes: Uint8Array): Tensor {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (file.length < 12 || file.toString('latin1', 0, 6) !== magic) throw new Error('it is no .npy file');
  // The length of the header has two bytes in version 1, and four since.
  const start = file[6] === 1 ? 10 : 12;
  const end = start + (file[6] === 1 ? file.readUInt16LE(8) : file.readUInt32LE(8));
  const header = file.toString('latin1', start, end);
  const descriptor = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (descriptor === undefined || shape === undefined) throw new Error('its header names no dtype and shape');
  const dtype = (Object.keys(descriptors) as DType[]).find((d) => descriptors[d]!.slice(1) === descriptor.slice(1));
  if (dtype === undefined || descriptor.startsWith('>'))
    throw new Error(`its dtype is '${descriptor}', which no input has: convert it with astype`);
  const extents = shape.split(',').flatMap((d) => (d.trim() === '' ? [] : [d.trim()]));
  // As Python 2 has written them, too: 3L.
  const dims = extents.map((d) => (/^\d+L?$/.test(d) ? parseInt(d, 10) : NaN));
  if (!dims.every(Number.isSafeInteger)) throw new Error(`its shape is (${shape}), which no tensor has`);
  if (/'fortran_order':\s*True/.test(header) && dims.length > 1)
    throw new Error('it is in Fortran order: save numpy.ascontiguousarray of it');
  return Tensor.fromBytes(dtype, bytes.subarray(end), dims);
}

/** What NumPy lacks is widened: bfloat16 and smaller floats to float32, integers of 4 bits to int8. */
export function writeNpy(tensor: Tensor): Uint8Array {
  const widened = widen(tensor);
  const descriptor = descriptors[widened.dtype];
  if (descriptor === undefined) throw new Error(`${widened.dtype} has no place in a .npy file`);
  const shape = widened.dims.length === 1 ? `${String(widened.dims[0])},` : widened.dims.join(', ');
  const text = `{'descr': '${descriptor}', 'fortran_order': False, 'shape': (${shape}), }`;
  // The data begins at a multiple of 64.
  const header = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`;
  const start = Buffer.from(`${magic}\x01\x00\0\0${header}`, 'latin1');
  start.writeUInt16LE(header.length, 8);
  const { buffer, byteOffset, byteLength } = widened.data as ArrayBufferView;
  return Buffer.concat([start, new Uint8Array(buffer, byteOffset, byteLength)]);
}

function widen(tensor: Tensor): Tensor {
  if (descriptors[tensor.dtype] !== undefined) return tensor;
  const wide = { float: 'float32', int: 'int8', uint: 'uint8' } as const;
  const { class: kind } = dtypeInfo(tensor.dtype);
  return kind in wide ? tensorFromNumbers(wide[kind as keyof typeof wide], readNumbers(tensor), tensor.dims) : tensor;
}
