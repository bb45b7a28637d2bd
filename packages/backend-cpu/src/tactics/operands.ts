/** What every native kernel asks of its operands. */

import type { Value, GroupView } from '@tensorwright/core';

export { dtypeOf, layoutsFor } from '@tensorwright/core';

/** The native Tensor's limit. */
export const maxRank = 12;

export function refuseOperands(group: GroupView): string | undefined {
  for (const v of [...group.node.inputs, ...group.outputs]) {
    const reason = v && refuseValue(v);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

export function refuseValue(v: Value): string | undefined {
  if (v.type.kind !== 'tensor') return `a ${v.type.kind} is no native value`;
  if (v.type.dtype === 'string' || v.type.dtype === 'complex64' || v.type.dtype === 'complex128')
    return `no native kernels for ${v.type.dtype}`;
  if (!v.type.dims) return 'the rank is not known at build time';
  return v.type.dims.length > maxRank ? `rank ${String(v.type.dims.length)} exceeds ${String(maxRank)}` : undefined;
}
