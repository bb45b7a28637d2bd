/** roiAlign and maxRoiPool: a thread to an element of each region's result. */

import { type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';

export const roiAlign: Tactic = operatorTactic({ name: 'roiAlign', operators: ['roiAlign'], emit: emitRoiAlign });

export const maxRoiPool: Tactic = operatorTactic({
  name: 'maxRoiPool',
  operators: ['maxRoiPool'],
  emit: emitMaxRoiPool,
});

function emitRoiAlign(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, rois, images, y] = [operands.input(0), operands.input(1), operands.input(2), operands.output()];
  const [outHeight, outWidth] = [attributes['outputHeight'] as number, attributes['outputWidth'] as number];
  const ratio = attributes['samplingRatio'] as number;
  const half = attributes['coordinateTransformationMode'] === 'half_pixel';
  const max = attributes['mode'] === 'max';
  const spatialScale = attributes['spatialScale'] as number;
  const scale = `f32(${String(spatialScale)})`;
  const corner = (k: number): string =>
    `convert<f32>(${rois.at(['c0', String(k)])}) * ${scale} - ${half ? '0.5f' : '0.0f'}`;
  const [height, width] = [args.dim(x.view.dims[2]!), args.dim(x.view.dims[3]!)];
  const sum = sumType(x.dtype);
  const pixel = (row: string, column: string): string =>
    `convert<${sum}>(${x.at(['image', 'c1', `rows.${row}`, `columns.${column}`])})`;
  const terms = [
    `(1 - rows.fraction) * (1 - columns.fraction) * ${pixel('low', 'low')}`,
    `(1 - rows.fraction) * columns.fraction * ${pixel('low', 'high')}`,
    `rows.fraction * (1 - columns.fraction) * ${pixel('high', 'low')}`,
    `rows.fraction * columns.fraction * ${pixel('high', 'high')}`,
  ];
  const least = half ? '' : ', 1.0f';
  const extent = (difference: string): string => (half ? `(${difference})` : `fmaxf(${difference}${least})`);
  return emitOverOutput(
    'roi_align',
    args,
    y,
    [x, rois],
    'rows',
    (number) => `
  const ${number} image = ${number}(pick_index(${images.at(['c0'])}, ${args.dim(x.view.dims[0]!)}));
  const f32 left = ${corner(0)}, top = ${corner(1)}, right = ${corner(2)}, bottom = ${corner(3)};
  const f32 bin_height = ${extent('bottom - top')} / ${String(outHeight)}, bin_width = ${extent('right - left')} / ${String(outWidth)};
  const i32 down = ${ratio > 0 ? String(ratio) : 'max(i32(ceilf(bin_height)), 0)'};
  const i32 across = ${ratio > 0 ? String(ratio) : 'max(i32(ceilf(bin_width)), 0)'};
  const f32 first_y = top + static_cast<f32>(c2) * bin_height, first_x = left + static_cast<f32>(c3) * bin_width;
  ${sum} result = ${max ? `lowest<${sum}>()` : '0'};
  for (i32 i = 0; i < down; ++i) {
    const f32 at_y = first_y + (i + 0.5f) * bin_height / down;
    const Neighbours rows = neighbours(at_y, ${height});
    for (i32 j = 0; j < across; ++j) {
      const f32 at_x = first_x + (j + 0.5f) * bin_width / across;
      if (at_y < -1.0f || at_y > ${height} || at_x < -1.0f || at_x > ${width}) {
        ${max ? 'result = maximum(result, decltype(result)(0));' : ''}
        continue;
      }
      const Neighbours columns = neighbours(at_x, ${width});
${terms.map((t) => (max ? `      result = maximum(result, ${t});` : `      result += ${t};`)).join('\n')}
    }
  }
  const i32 count = down * across;
  ${y.at(names('c', 4))} = convert<${y.type}>(count == 0 ? decltype(result)(0) : ${max ? 'result' : 'result / count'});`,
    { uses: ['indexing', 'sampling'] },
  );
}

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
