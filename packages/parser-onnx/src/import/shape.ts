/** Shape, Size and the operators that only change a shape: Reshape, Flatten, Squeeze, Unsqueeze, Expand. */

import {
  broadcastDims,
  provablyEqual,
  type Dim,
  formatDims,
  mulDims,
  productOf,
  resolveReshape,
  shapeRange,
  type Value,
} from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

/** x under other dims. */
export function reshaped(c: ImportContext, x: Value, dims: readonly Dim[]): Value {
  return c.op('reshape', [x], { dims });
}

function shape(c: ImportContext): Value {
  const x = c.input(0);
  const { dims } = c.type(x);
  const start = c.int('start', 0);
  const end = c.hasAttribute('end') ? c.int('end', 0) : undefined;
  if (!dims) return c.op('shape', [x], { start, end });
  return c.dims(dims.slice(...shapeRange(start, end, dims.length)));
}

/** As int64, which shape tensors are by the standard; older exporters also write int32. */
function wide(c: ImportContext, v: Value): Value {
  return c.type(v).dtype === 'int64' ? v : c.op('cast', [v], { to: 'int64' });
}

function reshape(c: ImportContext): Value {
  const x = c.input(0);
  const allowzero = c.int('allowzero', 0);
  const attribute = c.ints('shape');
  const target = attribute ?? c.fact(c.input(1));
  const { dims } = c.type(x);
  // Without the input's rank, a target that keeps or infers extents must wait for the run.
  if (!target || (!dims && target.some((d) => d === -1 || (d === 0 && allowzero === 0)))) {
    return c.op('reshapeDynamic', [x, attribute ? c.dims(attribute) : wide(c, c.input(1))], { allowzero });
  }
  const resolved = resolveReshape(dims, target, allowzero === 1);
  return reshaped(c, x, typeof resolved === 'string' ? c.fail(resolved) : resolved);
}

function flatten(c: ImportContext): Value {
  const x = c.input(0);
  const dims = c.dimsOf(x);
  const given = c.int('axis', 1);
  const axis = given < 0 ? given + dims.length : given;
  if (axis < 0 || axis > dims.length) c.fail(`axis ${given} is out of range for rank ${dims.length}`);
  return reshaped(c, x, [productOf(dims.slice(0, axis)), productOf(dims.slice(axis))]);
}

/** Axes from the attribute (to opset 12) or from an input; 'absent' when not given, 'dynamic' when the run computes them. */
function givenAxes(c: ImportContext, input: number): number[] | 'absent' | 'dynamic' {
  const attribute = c.ints('axes');
  if (attribute) return attribute;
  const given = c.optional(input);
  if (!given) return 'absent';
  const fact = c.fact(given);
  return fact?.every((d) => typeof d === 'number') ? [...fact] : 'dynamic';
}

function normalized(c: ImportContext, axes: readonly number[], rank: number): number[] {
  const out = axes.map((a) => c.axis(a, rank));
  if (new Set(out).size !== out.length) c.fail(`axes [${axes.join(', ')}] repeat`);
  return out;
}

function squeeze(c: ImportContext): Value {
  const x = c.input(0);
  const { dims } = c.type(x);
  const axes = givenAxes(c, 1);
  if (!dims || axes === 'dynamic')
    return c.op('squeezeDynamic', [
      x,
      axes === 'absent' ? undefined : wide(c, axes === 'dynamic' ? c.input(1) : c.dims(axes)),
    ]);
  if (axes === 'absent') {
    if (dims.some((d) => typeof d !== 'number')) return c.op('squeezeDynamic', [x]);
    return reshaped(
      c,
      x,
      dims.filter((d) => d !== 1),
    );
  }
  const removed = new Set(normalized(c, axes, dims.length));
  for (const axis of removed) {
    const d = dims[axis]!;
    if (typeof d === 'number' && d !== 1) c.fail(`axis ${axis} has extent ${d} and cannot be squeezed`);
  }
  return reshaped(
    c,
    x,
    dims.filter((_, i) => !removed.has(i)),
  );
}

function unsqueeze(c: ImportContext): Value {
  const x = c.input(0);
  const axes = givenAxes(c, 1);
  const { dims } = c.type(x);
  if (axes === 'absent') return c.fail('axes are missing');
  if (!dims || axes === 'dynamic')
    return c.op('unsqueezeDynamic', [x, axes === 'dynamic' ? wide(c, c.input(1)) : c.dims(axes)]);
  const rank = dims.length + axes.length;
  const added = new Set(normalized(c, axes, rank));
  let next = 0;
  return reshaped(
    c,
    x,
    Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : dims[next++]!)),
  );
}

function expand(c: ImportContext): Value {
  const x = c.input(0);
  const target = c.fact(c.input(1));
  const { dims } = c.type(x);
  if (!target || !dims) return c.op('expandDynamic', [x, wide(c, c.input(1))]);
  return expanded(c, x, target);
}

/** Two unknown extents are the same, or one of them is 1, which the run checks. */
function expanded(c: ImportContext, x: Value, target: readonly Dim[]): Value {
  if (target.some((d) => typeof d === 'number' && d < 0))
    c.fail(`the shape [${target.map(String).join(', ')}] has a negative extent`);
  const dims = broadcastDims(c.dimsOf(x), target);
  if (!dims) return c.fail(`${formatDims(c.dimsOf(x))} does not broadcast to ${formatDims(target)}`);
  const aligned = dims.map((_, i) => target[target.length - dims.length + i] ?? 1);
  const exact = dims.every((d, i) => provablyEqual(d, aligned[i]!));
  return c.op('expand', [x], exact ? { dims } : { dims, target: aligned });
}

export const shapeImporters: ImporterTable = {
  Shape: shape,
  Size: (c) => {
    const { dims } = c.type(c.input(0));
    return dims ? c.dims(dims.reduce<Dim>((p, d) => mulDims(p, d), 1)) : c.op('size', [c.input(0)]);
  },
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expand,
};
