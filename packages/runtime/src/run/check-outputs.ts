/** Checks the memory that a run is given for its outputs against the plan, as far as the inputs tell their shapes. */

import { type PlanHeader, Tensor, TensorwrightError } from '@tensorwright/core';
import { DeviceBuffer } from '../device-buffer.js';
import { evaluateExpression } from '../plan/expressions.js';
import type { TensorInfo } from '../tensor-info.js';
import type { RunRequest } from './driver.js';
import { whatIs } from './what-is.js';

/** By name; outputs without an entry are allocated. */
export type GivenOutputs = Readonly<Record<string, Tensor | DeviceBuffer>>;

/**
 * In the plan's order.
 * @throws ERR_INVALID_ARGUMENT for unknown names, ERR_DTYPE_MISMATCH, ERR_SHAPE_MISMATCH
 */
export function checkOutputs(
  given: GivenOutputs | undefined,
  symbols: ReadonlyMap<number, number>,
  infos: readonly TensorInfo[],
  header: PlanHeader,
): RunRequest['outputs'] {
  if (!given) return [];
  for (const name of Object.keys(given)) {
    if (infos.some((o) => o.name === name)) continue;
    const names = infos.map((o) => `'${o.name}'`).join(', ');
    throw new TensorwrightError(
      'ERR_INVALID_ARGUMENT',
      `run: unknown output '${name}'; the engine's outputs are ${names}`,
      { output: name },
    );
  }
  return infos.map((info, i) => {
    const tensor = Object.hasOwn(given, info.name) ? given[info.name] : undefined;
    if (tensor === undefined) return undefined;
    checkDtype(info, tensor);
    const { dims } = header.program.values[header.outputs[i]!.value]!;
    checkDims(
      info,
      tensor,
      dims?.map((d) => evaluateExpression(header.program.expressions[d]!, symbols)),
    );
    return tensor;
  });
}

function checkDtype(info: TensorInfo, tensor: Tensor | DeviceBuffer): void {
  const isTensor = tensor instanceof Tensor || tensor instanceof DeviceBuffer;
  if (isTensor && tensor.dtype === info.dtype) return;
  const received = isTensor ? tensor.dtype : whatIs(tensor);
  throw new TensorwrightError(
    'ERR_DTYPE_MISMATCH',
    `run: output '${info.name}': expected a Tensor ${info.type}, received ${received}`,
    { output: info.name, expected: info.dtype, received },
  );
}

/** @param expected undefined: only the run tells */
function checkDims(
  info: TensorInfo,
  { dims }: Tensor | DeviceBuffer,
  expected: readonly (number | undefined)[] | undefined,
): void {
  if (!expected) return;
  if (expected.length === dims.length && expected.every((d, axis) => d === undefined || d === dims[axis])) return;
  throw new TensorwrightError(
    'ERR_SHAPE_MISMATCH',
    `run: output '${info.name}': expected [${expected.map((d) => d ?? '?').join(', ')}], received [${dims.join(', ')}]`,
    { output: info.name, expected, received: dims },
  );
}
