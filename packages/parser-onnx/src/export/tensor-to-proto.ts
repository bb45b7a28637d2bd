/** Tensors and types as ONNX messages. */

import { asSymbol, type NumericData, type Tensor, type Type } from '@tensorwright/core';
import { codeOfDType } from '../dtype-codes.js';
import type { onnx, TensorProto, TypeProto } from '../proto/decode.js';

export function tensorToProto(tensor: Tensor, name: string): TensorProto {
  const proto = { name, dims: [...tensor.dims], dataType: codeOfDType(tensor.dtype) };
  if (tensor.dtype === 'string') {
    const encoder = new TextEncoder();
    return { ...proto, stringData: (tensor.data as readonly string[]).map((s) => encoder.encode(s)) };
  }
  const data = tensor.data as NumericData;
  return { ...proto, rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/** Symbols keep their names; extents that are expressions are left open. */
export function typeToProto(type: Type): TypeProto {
  switch (type.kind) {
    case 'tensor': {
      const dim = type.dims?.map((d): onnx.TensorShapeProto.Dimension.$Properties => {
        if (typeof d === 'number') return { dimValue: d };
        const symbol = asSymbol(d);
        return symbol ? { dimParam: symbol.name } : {};
      });
      return { tensorType: { elemType: codeOfDType(type.dtype), ...(dim && { shape: { dim } }) } };
    }
    case 'sequence':
      return { sequenceType: { elemType: typeToProto(type.element) } };
    case 'optional':
      return { optionalType: { elemType: typeToProto(type.element) } };
    case 'map':
      return { mapType: { keyType: codeOfDType(type.key), valueType: typeToProto(type.element) } };
  }
}
