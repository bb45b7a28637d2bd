/** maxRoiPool: a thread to an element of each region's result. */

import { type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';

export const maxRoiPool: Tactic = operatorTactic({
  name: 'maxRoiPool',
  operators: ['maxRoiPool'],
  emit: emitMaxRoiPool,
});

function emitMaxRoiPool(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, rois, y] = [operands.input(0), operands.input(1), operands.output()];
  const [outHeight, outWidth] = attributes['pooledShape'] as [number, number];
  const spatialScale = attributes['spatialScale'] as number;
  const scale = `f32(${String(spatialScale)})`;
  const corner = (k: number): string => `round_away(convert<f32>(${rois.at(['c0', String(k)])}) * ${scale})`;
  const sum = sumType(x.dtype);
  const edge = (position: string, start: string, limit: string): string =>
    `min(max(i32(${position} + ${start}), 0), ${limit})`;
  const [height, width] = [args.dim(x.view.dims[2]!), args.dim(x.view.dims[3]!)];
  return emitOverOutput(
    'max_roi_pool',
    args,
    y,
    [x, rois],
    'rows',
    (number) => `
  const ${number} image = ${number}(pick_index(convert<i64>(${rois.at(['c0', '0'])}), ${args.dim(x.view.dims[0]!)}));
  const f32 left = ${corner(1)}, top = ${corner(2)}, right = ${corner(3)}, bottom = ${corner(4)};
  const f32 bin_height = fmaxf(bottom - top + 1, 1.0f) / ${String(outHeight)};
  const f32 bin_width = fmaxf(right - left + 1, 1.0f) / ${String(outWidth)};
  const i32 first_row = ${edge('floorf(c2 * bin_height)', 'top', height)}, last_row = ${edge('ceilf((c2 + 1) * bin_height)', 'top', height)};
  const i32 first = ${edge('floorf(c3 * bin_width)', 'left', width)}, last = ${edge('ceilf((c3 + 1) * bin_width)', 'left', width)};
  ${sum} best = last_row <= first_row || last <= first ? ${sum}(0) : lowest<${sum}>();
  for (i32 row = first_row; row < last_row; ++row)
    for (i32 column = first; column < last; ++column)
      best = maximum(best, convert<${sum}>(${x.at(['image', 'c1', 'row', 'column'])}));
  ${y.at(names('c', 4))} = convert<${y.type}>(best);`,
    { uses: ['indexing', 'sampling'] },
  );
}
