/** Convolutions whose windows lie side by side: each is a row of a matrix product, and read from the image as it lies. */

import { constantOf, dtypeInfo, type GroupView, mulDims } from '@tensorwright/core';
import { dtypeOf } from '../operands.js';
import { geometryOf, pixelAxes, ungrouped } from './conv-problem.js';
import type { Problem } from './problem.js';

const copyBytes = 16;

/** Whether the windows neither overlap nor leave the image, and their rows are whole copies. */
export function isPatches(group: GroupView): boolean {
  const { kernel, strides, pads, dilations } = geometryOf(group);
  const bytes = dtypeInfo(dtypeOf(group.anchor!.inputs[0])!).bits / 8;
  return (
    (kernel.at(-1)! * bytes) % copyBytes === 0 &&
    pads.every((p) => p === 0) &&
    kernel.every((k, i) => k === strides[i] && dilations[i] === 1) &&
    constantOf(group.node.inputs[group.anchorInputs[1]!]) !== undefined
  );
}

/** The depth is [channels, window…], as weights have it; the image is row-major. */
export function patchProblem(group: GroupView): Problem {
  const g = geometryOf(group);
  const [x, w, bias] = group.anchorInputs as [number, number, number | undefined];
  const columns = g.w[0] as number;
  return {
    batch: [],
    rows: [g.out[0]!, ...g.out.slice(2)],
    columns: [columns],
    depth: [g.x[1]!, ...g.kernel],
    left: {
      input: x,
      dtype: dtypeOf(group.node.inputs[x])!,
      axes: (view) => ({
        batch: [],
        own: [view.strides[0]!, ...g.strides.map((s, i) => mulDims(view.strides[2 + i]!, s))],
        depth: view.strides.slice(1),
        windows: [],
      }),
    },
    right: {
      input: w,
      dtype: dtypeOf(group.node.inputs[w])!,
      axes: (view) => ({ batch: [], own: [view.strides[0]!], depth: view.strides.slice(1), windows: [] }),
    },
    output: ungrouped(pixelAxes(g.kernel.length, columns)),
    ...(bias !== undefined && { bias: { input: bias, axis: 1 } }),
  };
}
