/**
 * scatterElements, scatterND: where updates replace, each place learns the last one of its own, and every element of the
 * result looks there; where they combine, they are collected in lists, sorted, and every element takes in its list.
 * tensorScatter: every element of the result finds its update by itself.
 */

import {
  addDims,
  type Dim,
  domainOf,
  type EmitContext,
  type EmittedStep,
  floorDivDims,
  type GroupView,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, coordinates, elementKernel, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

export const scatter: Tactic = operatorTactic({
  name: 'scatter',
  operators: ['scatterElements', 'scatterND'],
  refuses: (group) => {
    const indices = group.anchor!.inputs[1]!.type;
    const depth = indices.kind === 'tensor' ? indices.dims!.at(-1) : undefined;
    return group.anchor!.op === 'scatterElements' || typeof depth === 'number'
      ? undefined
      : 'the length of index tuples is not known at build time';
  },
  emit: emitScatter,
});

export const tensorScatter: Tactic = operatorTactic({
  name: 'tensorScatter',
  operators: ['tensorScatter'],
  emit: emitTensorScatter,
});

/** Bytes of a list of int32, rounded up so that what follows is aligned. */
function listBytes(count: Dim): Dim {
  return mulDims(floorDivDims(addDims(mulDims(count, 4), 255), 256), 256);
}

function emitScatter(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { op, attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, indices, updates, y] = [operands.input(0), operands.input(1), operands.input(2), operands.output()];
  const rank = x.view.dims.length;
  const number = indexType(x.view, indices.view, updates.view, y.view);
  const tuples = op === 'scatterND';
  const depth = tuples ? (indices.view.dims.at(-1) as number) : 0;
  const axis = tuples ? 0 : ((attributes['axis'] as number) + rank) % rank;
  // Places are whole slices of the axes that tuples do not name.
  const placeDims = tuples ? x.view.dims.slice(0, depth) : x.view.dims;
  const updateDims = tuples ? indices.view.dims.slice(0, -1) : indices.view.dims;
  const reduction = attributes['reduction'] as string;
  const replaces = reduction === 'none';
  // The last update of a place, or the first of its list.
  const heads = args.workspace(0, 'i32');
  const headBytes = listBytes(productOf(placeDims));
  const next = replaces ? '' : args.workspace(headBytes, 'i32');
  const flat = (terms: readonly string[], dims: readonly Dim[]): string =>
    terms.reduce((sum, term, k) => (k === 0 ? term : `(${sum}) * ${args.dim(dims[k]!)} + ${term}`), '0');
  const u = names('u', updateDims.length);
  const chosen = placeDims.map((extent, k) => {
    if (!tuples && k !== axis) return u[k]!;
    return `${number}(pick_index(${indices.at(tuples ? [...u, String(k)] : u)}, ${args.dim(extent)}))`;
  });
  const clear = elementKernel(
    { name: 'clear', count: productOf(placeDims), number, body: `  ${heads}[i] = -1;` },
    args,
  );
  const link = elementKernel(
    {
      name: 'link',
      count: productOf(updateDims),
      number,
      body: `${coordinates(updateDims, 'rows', number, args, { letter: 'u' })}
  i32* const head = ${heads} + (${flat(chosen, placeDims)});
${replaces ? '  atomicMax(head, i32(i));' : `  push_update(head, ${next}, i32(i));`}`,
    },
    args,
  );
  const sort = elementKernel(
    {
      name: 'sort',
      count: productOf(placeDims),
      number,
      body: `  const i32 head = ${heads}[i];
  if (head >= 0 && ${next}[head] >= 0) ${heads}[i] = sort_updates(head, ${next});`,
    },
    args,
  );
  const c = names('c', rank);
  const domain = domainOf(x.dtype);
  const update = updates.at([...u, ...(tuples ? c.slice(depth) : [])]);
  const find = coordinates(updateDims, 'rows', number, args, { letter: 'u', linear: 'from' });
  const body = replaces
    ? `  ${x.type} value = ${x.at(c)};
  const i32 from = ${heads}[place];
  if (from >= 0) {
${find}
    value = ${update};
  }
  ${y.at(c)} = value;`
    : `  ${domain} value = convert<${domain}>(${x.at(c)});
  for (i32 from = ${heads}[place]; from >= 0; from = ${next}[from]) {
${find}
    value = scalar_${reduction}(value, convert<${domain}>(${update}));
  }
  ${y.at(c)} = convert<${y.type}>(value);`;
  const apply = elementKernel(
    {
      name: 'apply',
      count: productOf(y.view.dims),
      number,
      body: `${coordinates(y.view.dims, 'rows', number, args)}
  const ${number} place = ${flat(c.slice(0, placeDims.length), placeDims)};
${body}`,
    },
    args,
  );
  const kernels = replaces ? [clear, link, apply] : [clear, link, sort, apply];
  return launchStep({
    uses: ['indexing', 'scatter'],
    text: kernels.map((k) => k.text).join(''),
    arguments: args,
    launches: kernels.map((k) => k.launch),
    workspaceBytes: replaces ? headBytes : addDims(headBytes, listBytes(productOf(updateDims))),
  });
}

function emitTensorScatter(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [past, update, y] = [operands.input(0), operands.input(1), operands.output()];
  const begins = operands.has(2) ? operands.input(2) : undefined;
  const rank = y.view.dims.length;
  const axis = ((attributes['axis'] as number) + rank) % rank;
  const c = names('c', rank);
  const at = `c${String(axis)}`;
  const circular = attributes['mode'] === 'circular';
  return emitOverOutput(
    'tensor_scatter',
    args,
    y,
    [past, update],
    'rows',
    (number) => `
  ${number} from = ${at} - ${begins ? `${number}(${begins.at(['c0'])})` : '0'};
${circular ? `  if (from < 0) from += ${args.dim(y.view.dims[axis]!)};` : ''}
  const bool fresh = from >= 0 && from < ${args.dim(update.view.dims[axis]!)};
  ${y.at(c)} = fresh ? ${update.at(c.toSpliced(axis, 1, 'from'))} : ${past.at(c)};`,
  );
}
