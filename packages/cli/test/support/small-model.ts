/** Small ONNX files, written byte by byte: models that no exporter and no parser of ours has seen. */

import { delimited } from '../../src/onnx/wire.js';

const utf8 = new TextEncoder();
const float = 1;

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

function message(number: number, parts: readonly Uint8Array[]): Uint8Array {
  return concat(delimited(number, ...parts));
}

function text(number: number, value: string): Uint8Array {
  return message(number, [utf8.encode(value)]);
}

/** Values below 128 only. */
function varint(number: number, value: number): Uint8Array {
  return Uint8Array.of(number * 8, value);
}

export function node(
  operator: string,
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
): Uint8Array {
  return message(1, [
    ...inputs.map((i) => text(1, i)),
    ...outputs.map((o) => text(2, o)),
    text(3, name),
    text(4, operator),
  ]);
}

export function initializer(name: string, dims: readonly number[], values: readonly number[]): Uint8Array {
  const raw = new Uint8Array(Float32Array.from(values).buffer);
  return message(5, [...dims.map((d) => varint(1, d)), varint(2, float), text(8, name), message(9, [raw])]);
}

function valueInfo(field: number, name: string, dims: readonly (number | string)[]): Uint8Array {
  const shape = message(
    2,
    dims.map((d) => message(1, [typeof d === 'number' ? varint(1, d) : text(2, d)])),
  );
  return message(field, [text(1, name), message(2, [message(1, [varint(1, float), shape])])]);
}

export function input(name: string, dims: readonly (number | string)[]): Uint8Array {
  return valueInfo(11, name, dims);
}

export function output(name: string, dims: readonly (number | string)[]): Uint8Array {
  return valueInfo(12, name, dims);
}

export function model(...graph: readonly Uint8Array[]): Uint8Array {
  return concat([varint(1, 8), message(8, [varint(2, 17)]), message(7, [...graph, text(2, 'small')])]);
}

/** y = relu(x · w) · v + b, with a batch of any size; every node and tensor has a name. */
export function smallModel(): Uint8Array {
  const wave = (n: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(i + 1));
  return model(
    node('MatMul', 'first', ['x', 'w'], ['product']),
    node('Relu', 'bend', ['product'], ['bent']),
    node('MatMul', 'second', ['bent', 'v'], ['sum']),
    node('Add', 'shift', ['sum', 'b'], ['y']),
    initializer('w', [4, 8], wave(32)),
    initializer('v', [8, 3], wave(24)),
    initializer('b', [3], [1, -2, 3]),
    input('x', ['batch', 4]),
    output('y', ['batch', 3]),
  );
}
