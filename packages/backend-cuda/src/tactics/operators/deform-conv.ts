/** deformConv: every element of the result samples its displaced taps by itself. */

import {
  type Dim,
  floorDivDims,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Layout,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { geometryOf, likelyExtent } from '../contraction/conv-problem.js';
import { cyclesPerMicrosecond, launchMicroseconds, layoutsFor } from '../operands.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';
import { windowsOf } from './windows.js';

export const deformConv: Tactic = operatorTactic({
  name: 'deformConv',
  operators: ['deformConv'],
  refuses: (group) => {
    const { type } = group.anchor!.inputs[1]!;
    const known = type.kind === 'tensor' && type.dims!.slice(1).every((d) => typeof d === 'number');
    return known ? undefined : 'the kernel has extents that are only known at run time';
  },
  layouts: (group) => layoutsFor(group.outputs[0]!),
  estimate,
  emit: emitDeformConv,
});

/** Clocks of a thread for a tap of a channel, and threads that have one at a time. */
const tapCycles = 60;
const threadsAtWork = 132 * 128;

function estimate(group: GroupView): number {
  const { w, out } = geometryOf(group);
  const taps = w.slice(1).reduce<number>((n, d) => n * likelyExtent(d), 1);
  const elements = out.reduce<number>((n, d) => n * likelyExtent(d), 1);
  return launchMicroseconds + (elements * taps * tapCycles) / threadsAtWork / cyclesPerMicrosecond;
}

function emitDeformConv(group: GroupView, context: EmitContext, layout: Layout): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, w, offset, y] = [operands.input(0), operands.input(1), operands.input(2), operands.output()];
  const bias = operands.has(3) ? operands.input(3) : undefined;
  const mask = operands.has(4) ? operands.input(4) : undefined;
  const [groupChannels, ...kernel] = w.view.dims.slice(1) as [number, ...number[]];
  const rank = kernel.length;
  const windows = windowsOf(attributes, kernel);
  const groups = attributes['group'] as number;
  const offsetGroups = attributes['offsetGroup'] as number;
  const taps = kernel.reduce((p, k) => p * k, 1);
  // Without channels nothing is divided by it.
  const perOffset = String(Math.max(1, (groupChannels * groups) / offsetGroups));
  const sum = sumType(x.dtype);
  const c = names('c', rank + 2);
  const place = c.slice(2);
  const tap = kernel.reduce((text, size, k) => (k === 0 ? 't0' : `(${text}) * ${String(size)} + t${String(k)}`), '');
  const perGroup = args.dim(divided(w.view.dims[0]!, groups));
  const positions = kernel.map((_, k) => {
    const n = String(k);
    const shift = offset.at(['c0', `(displaced * ${String(rank)} + ${n})`, ...place]);
    return `      const ${sum} at${n} = c${String(k + 2)} * ${String(windows.strides[k]!)} - ${args.dim(windows.pads[k]!)} + t${n} * ${String(windows.dilations[k]!)} + convert<${sum}>(${shift});
      const bool inside${n} = at${n} > -1 && at${n} < ${args.dim(x.view.dims[k + 2]!)};
      const i32 low${n} = inside${n} ? i32(${sum === 'f64' ? 'floor' : 'floorf'}(at${n})) : 0;`;
  });
  const corners = Array.from({ length: 2 ** rank }, (_, corner) => {
    const high = (k: number): number => (corner >> k) & 1;
    const index = (k: number): string => `low${String(k)}${high(k) ? ' + 1' : ''}`;
    const exists = kernel.map((_, k) =>
      high(k) ? `${index(k)} < ${args.dim(x.view.dims[k + 2]!)}` : `${index(k)} >= 0`,
    );
    const weight = kernel.map((_, k) =>
      high(k) ? `(at${String(k)} - low${String(k)})` : `(1 - (at${String(k)} - low${String(k)}))`,
    );
    const pixel = x.at(['c0', 'channel', ...kernel.map((_, k) => `(${index(k)})`)]);
    return `      if (inside && ${exists.join(' && ')}) sampled += ${weight.join(' * ')} * convert<${sum}>(${pixel});`;
  });
  const loops = kernel.map(
    (size, k) => `    for (i32 t${String(k)} = 0; t${String(k)} < ${String(size)}; ++t${String(k)})`,
  );
  return emitOverOutput(
    'deform_conv',
    args,
    y,
    [x, w, offset],
    layout,
    () => `
  ${sum} sum = ${bias ? `convert<${sum}>(${bias.at(['c1'])})` : '0'};
  const i32 first = i32(c1) / ${perGroup} * ${String(groupChannels)};
  for (i32 k = 0; k < ${String(groupChannels)}; ++k) {
    const i32 channel = first + k;
${loops.join('\n')} {
      const i32 displaced = channel / ${perOffset} * ${String(taps)} + ${tap};
${positions.join('\n')}
      const bool inside = ${kernel.map((_, k) => `inside${String(k)}`).join(' && ')};
      ${sum} sampled = 0;
${corners.join('\n')}
      ${mask ? `sampled *= convert<${sum}>(${mask.at(['c0', 'displaced', ...place])});` : ''}
      sum += sampled * convert<${sum}>(${w.at(['c1', 'k', ...names('t', rank)])});
    }
  }
  ${y.at(c)} = convert<${y.type}>(sum);`,
  );
}

function divided(d: Dim, by: number): Dim {
  return typeof d === 'number' ? d / by : floorDivDims(d, by);
}
