/**
 * Updates in their order: where they replace, each place learns the last one of its own, which alone is written there;
 * where they combine, they are collected in lists, sorted, and every element takes in its list.
 */

import { type Dim, domainOf, type EmittedStep, mulDims, productOf } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { Workspace } from '../../launch/workspace.js';
import { coordinates, names } from './element-kernel.js';
import { type Kernel, launchKernels, type ScatterProblem } from './scatter-problem.js';

/** A list of int32. */
function takeList(workspace: Workspace, count: Dim, args: Arguments): string {
  return args.workspace(workspace.take(mulDims(count, 4)), 'i32');
}

/** Where the data lie, which are the result: nothing but the updates' places is touched. */
export function replaceInOrder(p: ScatterProblem): Promise<EmittedStep> {
  const { args, number, updates, y, placeDims, updateDims } = p;
  const workspace = new Workspace();
  const last = takeList(workspace, productOf(placeDims), args);
  const u = names('u', updateDims.length);
  const ofUpdates = (name: string, statement: (place: string) => string): Kernel =>
    p.kernel(
      name,
      productOf(updateDims),
      `${coordinates(updateDims, 'rows', number, args, { letter: 'u' })}
  i32* const place = ${last} + (${p.flat(p.placeOf(u), placeDims)});
  ${statement('place')}`,
    );
  const clear = ofUpdates('clear', (place) => `*${place} = -1;`);
  const find = ofUpdates('find', (place) => `atomicMax(${place}, i32(i));`);
  const t = names('t', p.dims.length);
  const c = names('c', updates.view.dims.length).slice(0, updateDims.length);
  const replace = p.overUpdates(
    'replace',
    `  if (${last}[${p.flat(t.slice(0, placeDims.length), placeDims)}] == i32(${p.flat(c, updateDims)})) ${y.at(t)} = update;`,
  );
  return launchKernels(p, [clear, find, replace], workspace.bytes);
}

export function scatterInOrder(p: ScatterProblem): Promise<EmittedStep> {
  const { args, number, x, updates, y, placeDims, updateDims, reduction } = p;
  const workspace = new Workspace();
  // The first update of a place's list, and the next one of each.
  const heads = takeList(workspace, productOf(placeDims), args);
  const next = takeList(workspace, productOf(updateDims), args);
  const u = names('u', updateDims.length);
  const clear = p.kernel('clear', productOf(placeDims), `  ${heads}[i] = -1;`);
  const link = p.kernel(
    'link',
    productOf(updateDims),
    `${coordinates(updateDims, 'rows', number, args, { letter: 'u' })}
  i32* const head = ${heads} + (${p.flat(p.placeOf(u), placeDims)});
  push_update(head, ${next}, i32(i));`,
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
  const body = `  ${domain} value = convert<${domain}>(${x.at(c)});
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
  return launchKernels(p, [clear, link, sort, apply], workspace.bytes);
}
