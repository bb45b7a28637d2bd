/** Movement whose sizes are tensors computed at run time: the shape is computed on the device, then elements are moved. */

import {
  type EmitContext,
  type EmittedStep,
  type GroupView,
  minDims,
  productOf,
  provablyEqual,
  type ScratchMemory,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { padSource } from '../pad-source.js';
import { countedShape, refuseLengths } from './counted-shape.js';
import {
  expandShape,
  padShape,
  reshapeShape,
  type ShapeStatements,
  sliceShape,
  squeezeShape,
  tileShape,
  unsqueezeShape,
} from './dynamic-shapes.js';
import { AnchorOperands, coordinates, elementKernel, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

interface Movement {
  readonly shape: ShapeStatements;
  /** `parameters` of the shape, for each axis of the input. Default: none. */
  readonly parameters?: number;
  readonly write: (group: GroupView, context: EmitContext, parameters: ScratchMemory) => Promise<EmittedStep>;
}

const movements: Readonly<Record<string, Movement>> = {
  reshapeDynamic: { shape: reshapeShape, write: copyInOrder },
  squeezeDynamic: { shape: squeezeShape, write: copyInOrder },
  unsqueezeDynamic: { shape: unsqueezeShape, write: copyInOrder },
  expandDynamic: {
    shape: expandShape,
    write: (group, context) => moveElements(group, context, (c, extent) => `${c} % ${extent}`),
  },
  tileDynamic: {
    shape: tileShape,
    write: (group, context) => moveElements(group, context, (c, extent) => `${c} % ${extent}`),
  },
  sliceDynamic: { shape: sliceShape, parameters: 2, write: slice },
  padDynamic: { shape: padShape, parameters: 1, write: pad },
};

export const dynamicMovement: Tactic = operatorTactic({
  name: 'dynamicMovement',
  operators: Object.keys(movements),
  counts: true,
  refuses: (group) =>
    refuseLengths(group, group.anchor!.op === 'padDynamic' ? [1, 3] : [1, 2, 3, 4]) ?? refuseAlignment(group),
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const { shape, parameters, write } = movements[group.anchor!.op]!;
    const rank = context.view(group.anchorInputs[0]!)!.dims.length;
    return countedShape({
      group,
      context,
      shape: (operands, args) => shape(group, operands, args),
      decidedBy: group.anchor!.op === 'padDynamic' ? [1, 3] : [1, 2, 3, 4],
      ...(parameters !== undefined && { parameters: parameters * Math.max(rank, 1) }),
      write: (memory) => write(group, context, memory),
    });
  },
});

/** A value to pad with is one element. */
function refuseAlignment(group: GroupView): string | undefined {
  const value = group.anchor!.op === 'padDynamic' ? group.anchor!.inputs[2]?.type : undefined;
  const plain = value?.kind !== 'tensor' || value.dims?.every((d) => d === 1) === true;
  return plain ? undefined : 'the value to pad with is no single element';
}

/** Every element finds its source along each axis by itself; leading axes that the input lacks are repeated. */
function moveElements(
  group: GroupView,
  context: EmitContext,
  source: (coordinate: string, extent: string) => string,
): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const lead = y.view.dims.length - x.view.dims.length;
  const from = x.view.dims.map((d, k) => {
    const c = `c${String(k + lead)}`;
    return d === 1 ? '0' : provablyEqual(d, y.view.dims[k + lead]!) ? c : `(${source(c, args.dim(d))})`;
  });
  return emitOverOutput(
    'move',
    args,
    y,
    [x],
    'rows',
    () => `  ${y.at(names('c', y.view.dims.length))} = ${x.at(from)};`,
  );
}

/** The same elements in the same order under another shape. */
function copyInOrder(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const number = indexType(x.view, y.view);
  const kernel = elementKernel(
    {
      name: 'copy',
      // Their products are the same; where only the run knows that, no element may miss its place.
      count: minDims(productOf(x.view.dims), productOf(y.view.dims)),
      number,
      body: `${coordinates(x.view.dims, 'rows', number, args, { letter: 'x' })}
${coordinates(y.view.dims, 'rows', number, args)}
  ${y.at(names('c', y.view.dims.length))} = ${x.at(names('x', x.view.dims.length))};`,
    },
    args,
  );
  return launchStep({ text: kernel.text, arguments: args, launches: [kernel.launch] });
}

function slice(group: GroupView, context: EmitContext, parameters: ScratchMemory): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const rank = x.view.dims.length;
  const of = args.scratch(parameters, 'i64');
  return emitOverOutput('slice', args, y, [x], 'rows', (number) => {
    const from = names('c', rank).map(
      (c, k) => `(${number}(${of}[${String(k)}]) + ${c} * ${number}(${of}[${String(rank + k)}]))`,
    );
    return `  ${y.at(names('c', rank))} = ${x.at(from)};`;
  });
}

function pad(group: GroupView, context: EmitContext, parameters: ScratchMemory): Promise<EmittedStep> {
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, y] = [operands.input(0), operands.output()];
  const mode = group.anchor!.attributes['mode'] as string;
  const low = args.scratch(parameters, 'i64');
  const { dims } = x.view;
  const sources = dims.map((d, k) => {
    const n = `i64(${args.dim(d)})`;
    return `  const i64 s${String(k)} = pad_source(c${String(k)} - ${low}[${String(k)}], ${n});
  inside = inside && s${String(k)} >= 0 && s${String(k)} < ${n};`;
  });
  const fill = operands.has(2) ? `*${operands.input(2).pointer}` : `convert<${y.type}>(0)`;
  return emitOverOutput(
    'pad',
    args,
    y,
    [x],
    'rows',
    () => `  bool inside = true;
${sources.join('\n')}
  ${y.at(names('c', dims.length))} = inside ? ${x.at(names('s', dims.length))} : ${fill};`,
    { holes: padSource(mode) },
  );
}
