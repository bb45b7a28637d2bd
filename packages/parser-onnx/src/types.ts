/** Types and dims of a model's values; one symbol per dim name and model. */

import { createSymbol, type Dim, type DimSymbol, symbolDim, tensorType, type Type } from '@tensorwright/core';
import { dtypeOfCode } from './dtype-codes.js';
import { ImportFailure } from './problems.js';
import { toNumber, type TypeProto, type onnx } from './proto/decode.js';

export class SymbolTable {
  readonly #symbols = new Map<string, DimSymbol>();

  /** The dimension of that name. */
  named(name: string): Dim {
    let symbol = this.#symbols.get(name);
    if (!symbol) this.#symbols.set(name, (symbol = createSymbol(name)));
    return symbolDim(symbol);
  }

  /** @throws ImportFailure for a type that lacks its element type or has malformed dims */
  type(proto: TypeProto | null | undefined, name: string): Type {
    if (proto?.tensorType) {
      return tensorType(elementType(proto.tensorType.elemType), this.dims(proto.tensorType.shape, name));
    }
    if (proto?.sequenceType) return { kind: 'sequence', element: this.type(proto.sequenceType.elemType, name) };
    if (proto?.optionalType) return { kind: 'optional', element: this.type(proto.optionalType.elemType, name) };
    if (proto?.mapType) {
      const key = dtypeOfCode(proto.mapType.keyType);
      if (key !== 'int64' && key !== 'string')
        throw new ImportFailure('ERR_UNSUPPORTED', `maps from ${key ?? 'an unknown type'} are not supported`);
      return { kind: 'map', key, element: this.type(proto.mapType.valueType, name) };
    }
    if (proto?.sparseTensorType)
      throw new ImportFailure('ERR_UNSUPPORTED', 'sparse tensors as inputs or outputs are not supported');
    if (proto?.opaqueType) throw new ImportFailure('ERR_UNSUPPORTED', 'opaque types are not supported');
    throw new ImportFailure('ERR_INVALID_MODEL', 'its type is missing');
  }

  /** undefined: unranked. Unnamed unknown dims get a symbol of their own. */
  dims(shape: onnx.TensorShapeProto.$Properties | null | undefined, name: string): Dim[] | undefined {
    return shape?.dim?.map((d, axis): Dim => {
      if (d.dimParam) return this.named(d.dimParam);
      if (d.dimValue === undefined || d.dimValue === null) return symbolDim(createSymbol(`${name}.${axis}`));
      const value = toNumber(d.dimValue);
      if (!Number.isSafeInteger(value) || value < 0)
        throw new ImportFailure('ERR_INVALID_MODEL', `dimension ${axis} must be a non-negative integer, is ${value}`);
      return value;
    });
  }
}

function elementType(code: number | null | undefined): ReturnType<typeof dtypeOfCode> & string {
  const dtype = dtypeOfCode(code);
  if (!dtype)
    throw new ImportFailure(
      code ? 'ERR_UNSUPPORTED' : 'ERR_INVALID_MODEL',
      code ? `unknown element type ${code}` : 'its element type is missing',
    );
  return dtype;
}
