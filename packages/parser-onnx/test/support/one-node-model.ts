/** Writes models of one node, for comparisons with another implementation. */

import { type DType, type NumericData, Tensor } from '@tensorwright/core';
import { codeOfDType } from '../../src/dtype-codes.js';
import { onnx } from '../../src/proto/decode.js';

export type Attribute =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | { readonly float: number }
  | { readonly floats: readonly number[] };

export interface OneNode {
  readonly op: string;
  readonly domain?: string | undefined;
  readonly opset?: number | undefined;
  /** Version of `domain`. Default: 1. */
  readonly domainVersion?: number;
  /** In order; undefined: omitted. A tensor wrapped in `constant` becomes an initializer. */
  readonly inputs: readonly (Tensor | Constant | undefined)[];
  readonly attributes?: Readonly<Record<string, Attribute>> | undefined;
  /** dtype of each output; undefined: not asked for. Default: one output of the first input's dtype. */
  readonly outputs?: readonly (DType | undefined)[] | undefined;
}

export interface Constant {
  readonly initializer: Tensor;
}

export function constant(tensor: Tensor): Constant {
  return { initializer: tensor };
}

export function tensorOfInput(input: Tensor | Constant): Tensor {
  return input instanceof Tensor ? input : input.initializer;
}

/** @param symbolic which axes of an input's shape are declared as symbols instead of numbers, each one of its own. */
export function modelOf(
  node: OneNode,
  symbolic: (dims: readonly number[]) => readonly number[] = () => [],
): Uint8Array {
  const present = node.inputs.map((input, i) => ({ input, name: input ? `x${i}` : '' }));
  const outputs = node.outputs ?? [tensorOfInput(node.inputs[0]!).dtype];
  const type = (dtype: DType, dims?: readonly (number | string)[]): onnx.TypeProto.$Properties => ({
    tensorType: {
      elemType: codeOfDType(dtype),
      ...(dims && { shape: { dim: dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })) } }),
    },
  });
  return onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: node.opset ?? 17 },
      ...(node.domain ? [{ domain: node.domain, version: node.domainVersion ?? 1 }] : []),
    ],
    graph: {
      name: 'g',
      input: present.flatMap(({ input, name }) =>
        input instanceof Tensor
          ? [
              {
                name,
                type: type(
                  input.dtype,
                  input.dims.map((d, axis) => (symbolic(input.dims).includes(axis) ? `${name}_${axis}` : d)),
                ),
              },
            ]
          : [],
      ),
      initializer: present.flatMap(({ input, name }) =>
        input && !(input instanceof Tensor) ? [initializer(name, input.initializer)] : [],
      ),
      output: outputs.flatMap((dtype, i) => (dtype ? [{ name: `y${i}`, type: type(dtype) }] : [])),
      node: [
        {
          name: 'node',
          opType: node.op,
          domain: node.domain ?? '',
          input: present.map((p) => p.name),
          output: outputs.map((dtype, i) => (dtype ? `y${i}` : '')),
          attribute: Object.entries(node.attributes ?? {}).map(([name, value]) => attribute(name, value)),
        },
      ],
    },
  }).finish();
}

function initializer(name: string, tensor: Tensor): onnx.TensorProto.$Properties {
  const data = tensor.data as NumericData;
  return {
    name,
    dims: [...tensor.dims],
    dataType: codeOfDType(tensor.dtype),
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

function attribute(name: string, value: Attribute): onnx.AttributeProto.$Properties {
  const { AttributeType } = onnx.AttributeProto;
  const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);
  if (typeof value === 'number') return { name, type: AttributeType.INT, i: value };
  if (typeof value === 'string') return { name, type: AttributeType.STRING, s: bytes(value) };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  if ('floats' in value) return { name, type: AttributeType.FLOATS, floats: [...value.floats] };
  if (typeof value[0] === 'string')
    return { name, type: AttributeType.STRINGS, strings: (value as readonly string[]).map(bytes) };
  return { name, type: AttributeType.INTS, ints: [...(value as readonly number[])] };
}
