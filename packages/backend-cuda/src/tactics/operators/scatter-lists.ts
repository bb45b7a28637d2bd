/**
 * Updates in their order: where they replace, each place learns the last one of its own, and every element of the result
 * looks there; where they combine, they are collected in lists, sorted, and every element takes in its list.
 */

import { addDims, type Dim, domainOf, type EmittedStep, floorDivDims, mulDims, productOf } from '@tensorwright/core';
import { launchStep } from '../../launch/launch-step.js';
import { coordinates, names } from './element-kernel.js';
import type { ScatterProblem } from './scatter-problem.js';

/** Bytes of a list of int32, rounded up so that what follows is aligned. */
function listBytes(count: Dim): Dim {
  return mulDims(floorDivDims(addDims(mulDims(count, 4), 255), 256), 256);
}

export function scatterInOrder(p: ScatterProblem): Promise<EmittedStep> {
  const { args, number, x, updates, y, placeDims, updateDims, reduction } = p;
  const replaces = reduction === 'none';
  // The last update of a place, or the first of its list.
  const heads = args.workspace(0, 'i32');
  const headBytes = listBytes(productOf(placeDims));
  const next = replaces ? '' : args.workspace(headBytes, 'i32');
  const u = names('u', updateDims.length);
  const clear = p.kernel('clear', productOf(placeDims), `  ${heads}[i] = -1;`);
  const link = p.kernel(
    'link',
    productOf(updateDims),
    `${coordinates(updateDims, 'rows', number, args, { letter: 'u' })}
  i32* const head = ${heads} + (${p.flat(p.placeOf(u), placeDims)});
${replaces ? '  atomicMax(head, i32(i));' : `  push_update(head, ${next}, i32(i));`}`,
  );
  const sort = p.kernel(
    'sort',
    productOf(placeDims),
    `  const i32 head = ${heads}[i];
  if (head >= 0 && ${next}[head] >= 0) ${heads}[i] = sort_updates(head, ${next});`,
  );
  const c = names('c', p.dims.length);
  const domain = domainOf(x.dtype);
  const update = updates.at([...u, ...c.slice(placeDims.length)]);
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
  const apply = p.overResult(
    'apply',
    `  const ${number} place = ${p.flat(c.slice(0, placeDims.length), placeDims)};
${body}`,
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
