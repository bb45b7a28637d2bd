/** Declared types of values against inferred ones. */

import { formatType, type Type } from '@tensorwright/core';
import { dtypeOfCode } from './dtype-codes.js';
import { ImportFailure } from './problems.js';
import { toNumber, type TypeProto } from './proto/decode.js';

export interface Declared {
  /** How the declared shape contradicts the inferred one. */
  readonly shape?: string;
}

/** @throws ImportFailure when the kinds or dtypes differ */
export function checkAgainst(proto: TypeProto | null | undefined, inferred: Type): Declared {
  if (!proto) return {};
  if (proto.tensorType && inferred.kind === 'tensor') {
    const dtype = dtypeOfCode(proto.tensorType.elemType);
    if (dtype !== undefined && dtype !== inferred.dtype)
      throw new ImportFailure('ERR_INVALID_MODEL', `it is declared as ${dtype}, but computed as ${inferred.dtype}`);
    const dims = proto.tensorType.shape?.dim?.map((d) =>
      d.dimValue === undefined || d.dimValue === null ? undefined : toNumber(d.dimValue),
    );
    if (dims === undefined || inferred.dims === undefined) return {};
    const fits =
      dims.length === inferred.dims.length &&
      dims.every((d, i) => d === undefined || typeof inferred.dims![i] !== 'number' || d === inferred.dims![i]);
    return fits
      ? {}
      : {
          shape: `declared as [${dims.map((d) => d ?? '?').join(', ')}], but inferred as ${formatType(inferred)}; the declaration is ignored`,
        };
  }
  if (proto.sequenceType && inferred.kind === 'sequence')
    return checkAgainst(proto.sequenceType.elemType, inferred.element);
  if (proto.optionalType && inferred.kind === 'optional')
    return checkAgainst(proto.optionalType.elemType, inferred.element);
  if (proto.mapType && inferred.kind === 'map') return checkAgainst(proto.mapType.valueType, inferred.element);
  const kind = proto.tensorType
    ? 'tensor'
    : proto.sequenceType
      ? 'sequence'
      : proto.optionalType
        ? 'optional'
        : proto.mapType
          ? 'map'
          : undefined;
  if (kind === undefined) return {};
  throw new ImportFailure('ERR_INVALID_MODEL', `it is declared as a ${kind}, but computed as a ${inferred.kind}`);
}
