/** gridSample: every element of the result reads its neighbourhood in x. */

import { type EmitContext, type EmittedStep, type GroupView } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';

export const gridSample: Tactic = operatorTactic({
  name: 'gridSample',
  operators: ['gridSample'],
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const { attributes } = group.anchor!;
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [x, grid, y] = [operands.input(0), operands.input(1), operands.output()];
    const rank = x.view.dims.length - 2;
    const [mode, padding] = [attributes['mode'] as string, attributes['paddingMode'] as string];
    const align = String(attributes['alignCorners'] === true);
    const taps = { nearest: 1, linear: 2, cubic: 4 }[mode] ?? 1;
    const c = names('c', rank + 2);
    const sum = sumType(x.dtype);
    const place = Array.from({ length: rank }, (_, k) => {
      // The grid lists the innermost axis first.
      const at = `convert<f64>(${grid.at(['c0', ...c.slice(2), String(rank - 1 - k)])})`;
      const extent = args.dim(x.view.dims[k + 2]!);
      const low = mode === 'nearest' ? `i32(p${String(k)})` : `i32(floorf(p${String(k)})) - ${String(taps / 2 - 1)}`;
      return `  const f32 p${String(k)} = grid_position<grid_${mode}, grid_${padding}, ${align}>(${at}, ${extent});
  const i32 low${String(k)} = ${low};`;
    });
    const loops = Array.from({ length: rank }, (_, k) => {
      const n = String(k);
      const before = k === 0 ? '' : `w${String(k - 1)} * `;
      return `#pragma unroll
  for (int t${n} = 0; t${n} < ${String(taps)}; ++t${n}) {
    const i32 x${n} = grid_index<grid_${padding}, ${align}>(low${n} + t${n}, ${args.dim(x.view.dims[k + 2]!)});
    const f32 w${n} = ${before}grid_weight<grid_${mode}>(fabsf(p${n} - static_cast<f32>(low${n} + t${n})));
    if (x${n} < 0) continue;`;
    });
    return emitOverOutput(
      'grid_sample',
      args,
      y,
      [x, grid],
      'rows',
      () => `${place.join('\n')}
  ${sum} sum = 0;
${loops.join('\n')}
    sum += ${sum}(w${String(rank - 1)}) * convert<${sum}>(${x.at(['c0', 'c1', ...names('x', rank)])});
${loops.map(() => '  }').join('\n')}
  ${y.at(c)} = convert<${y.type}>(sum);`,
      { uses: ['sampling'] },
    );
  },
});
