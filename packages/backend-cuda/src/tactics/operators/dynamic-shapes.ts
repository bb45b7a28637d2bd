/** The shapes of movement whose sizes are tensors, as C++ statements for `countedShape`. */

import type { GroupView } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { dimList, integerList, lengthOf } from './counted-shape.js';
import type { AnchorOperands } from './element-kernel.js';

export type ShapeStatements = (group: GroupView, operands: AnchorOperands, args: Arguments) => string;

function rankOf(operands: AnchorOperands): number {
  return operands.input(0).view.dims.length;
}

function xDims(operands: AnchorOperands, args: Arguments): string {
  return dimList('x', operands.input(0).view.dims, args);
}

/** Fills `axis[]` with the axes of `rank` that `count` entries are about: those of an input, else all in order. */
function axisList(operands: AnchorOperands, input: number, count: number, rank: number): string {
  const inOrder = [...Array.from({ length: count }, (_, k) => String(k)), '0'].join(', ');
  const given = operands.has(input) ? integerList('axes', operands, input) : `  const i64 axes[] = {${inOrder}};`;
  return `${given}
  i64 axis[${String(Math.max(count, 1))}];
  for (int k = 0; k < ${String(count)}; ++k) {
    axis[k] = axes[k] < 0 ? axes[k] + ${String(rank)} : axes[k];
    if (axis[k] < 0 || axis[k] >= ${String(rank)}) valid = false, axis[k] = 0;
    for (int j = 0; j < k; ++j) valid = valid && axis[j] != axis[k];
  }`;
}

/** 0 keeps an extent of the input, -1 is what is left. */
export const reshapeShape: ShapeStatements = (group, operands, args) => {
  const rank = rankOf(operands);
  const length = lengthOf(operands, 1);
  const keep = group.anchor!.attributes['allowzero'] === 1 ? 'false' : 'true';
  return `${xDims(operands, args)}
${integerList('target', operands, 1)}
  i64 total = 1, others = 1, rest = -1;
  for (int k = 0; k < ${String(rank)}; ++k) total *= x[k];
  for (int k = 0; k < ${String(length)}; ++k) {
    dims[k] = target[k] == 0 && ${keep} ? (k < ${String(rank)} ? x[k] : -1) : target[k];
    if (target[k] == -1) {
      valid = valid && rest < 0;
      rest = k;
    } else {
      valid = valid && dims[k] >= 0;
      others *= dims[k];
    }
  }
  if (rest >= 0) {
    dims[rest] = others > 0 ? total / others : 0;
    others *= dims[rest];
  }
  valid = valid && others == total;`;
};

export const expandShape: ShapeStatements = (group, operands, args) => {
  const rank = rankOf(operands);
  const length = lengthOf(operands, 1);
  const wide = Math.max(rank, length);
  return `${xDims(operands, args)}
${integerList('target', operands, 1)}
  for (int k = 0; k < ${String(wide)}; ++k) {
    const i64 from = k < ${String(wide - rank)} ? 1 : x[k - ${String(wide - rank)}];
    const i64 to = k < ${String(wide - length)} ? 1 : target[k - ${String(wide - length)}];
    valid = valid && to >= 0 && (from == to || from == 1 || to == 1);
    dims[k] = from == 1 ? to : from;
  }`;
};

export const tileShape: ShapeStatements = (_group, operands, args) => {
  const rank = rankOf(operands);
  return `${xDims(operands, args)}
${integerList('repeats', operands, 1)}
  for (int k = 0; k < ${String(rank)}; ++k) {
    valid = valid && repeats[k] >= 0;
    dims[k] = x[k] * repeats[k];
  }`;
};

/** `parameters`: the starts and then the steps of all axes. */
export const sliceShape: ShapeStatements = (_group, operands, args) => {
  const rank = rankOf(operands);
  const count = lengthOf(operands, 1);
  const steps = operands.has(4)
    ? integerList('steps', operands, 4)
    : `  const i64 steps[] = {${Array.from({ length: count + 1 }, () => '1').join(', ')}};`;
  return `${xDims(operands, args)}
${integerList('starts', operands, 1)}
${integerList('ends', operands, 2)}
${steps}
  for (int k = 0; k < ${String(rank)}; ++k) {
    dims[k] = x[k];
    parameters[k] = 0;
    parameters[${String(rank)} + k] = 1;
  }
${axisList(operands, 3, count, rank)}
  for (int k = 0; k < ${String(count)}; ++k) {
    const i64 n = x[axis[k]], step = steps[k];
    valid = valid && step != 0;
    if (step == 0) continue;
    const i64 low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const i64 begin = min(max(starts[k] < 0 ? starts[k] + n : starts[k], low), high);
    const i64 end = min(max(ends[k] < 0 ? ends[k] + n : ends[k], low), high);
    // The least integer of that magnitude has no positive one.
    const u64 stride = step > 0 ? static_cast<u64>(step) : u64{0} - static_cast<u64>(step);
    const i64 span = step > 0 ? end - begin : begin - end;
    dims[axis[k]] = span <= 0 ? 0 : static_cast<i64>((static_cast<u64>(span) - 1) / stride) + 1;
    parameters[axis[k]] = begin;
    parameters[${String(rank)} + axis[k]] = step;
  }`;
};

/** `parameters`: how many elements come before those of the input, for all axes. */
export const padShape: ShapeStatements = (group, operands, args) => {
  const rank = rankOf(operands);
  const count = lengthOf(operands, 1) / 2;
  const constant = group.anchor!.attributes['mode'] === 'constant';
  return `${xDims(operands, args)}
${integerList('pads', operands, 1)}
  for (int k = 0; k < ${String(rank)}; ++k) {
    dims[k] = x[k];
    parameters[k] = 0;
  }
${axisList(operands, 3, count, rank)}
  for (int k = 0; k < ${String(count)}; ++k) {
    dims[axis[k]] += pads[k] + pads[k + ${String(count)}];
    parameters[axis[k]] = pads[k];
    valid = valid && dims[axis[k]] >= 0${constant ? '' : ' && (x[axis[k]] > 0 || dims[axis[k]] == 0)'};
  }`;
};

/** Without axes, all extents of 1 go. */
export const squeezeShape: ShapeStatements = (group, operands, args) => {
  const rank = rankOf(operands);
  const { type } = group.outputs[0]!;
  const left = type.kind === 'tensor' ? type.dims!.length : 0;
  const head = `${xDims(operands, args)}
  bool gone[${String(Math.max(rank, 1))}];`;
  const marks = operands.has(1)
    ? `${axisList(operands, 1, lengthOf(operands, 1), rank)}
  for (int k = 0; k < ${String(rank)}; ++k) gone[k] = false;
  for (int k = 0; k < ${String(lengthOf(operands, 1))}; ++k) {
    gone[axis[k]] = true;
    valid = valid && x[axis[k]] == 1;
  }`
    : `  for (int k = 0; k < ${String(rank)}; ++k) gone[k] = x[k] == 1;`;
  return `${head}
${marks}
  int kept = 0;
  for (int k = 0; k < ${String(rank)}; ++k)
    if (!gone[k]) {
      if (kept < ${String(left)}) dims[kept] = x[k];
      ++kept;
    }
  valid = valid && kept == ${String(left)};`;
};

export const unsqueezeShape: ShapeStatements = (_group, operands, args) => {
  const count = lengthOf(operands, 1);
  const rank = rankOf(operands) + count;
  return `${xDims(operands, args)}
${axisList(operands, 1, count, rank)}
  for (int k = 0; k < ${String(rank)}; ++k) dims[k] = -1;
  for (int k = 0; k < ${String(count)}; ++k) dims[axis[k]] = 1;
  for (int k = 0, from = 0; k < ${String(rank)}; ++k)
    if (dims[k] < 0) dims[k] = from < ${String(rankOf(operands))} ? x[from++] : -1;`;
};
