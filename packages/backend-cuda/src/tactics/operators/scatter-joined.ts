/** Updates in any order, where the result is the same: by atomics, in the result itself or in sums that do not round. */

import {
  addDims,
  ceilDivDims,
  type Dim,
  dimBounds,
  type DType,
  dtypeInfo,
  type EmittedStep,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { launchStep } from '../../launch/launch-step.js';
import { names } from './element-kernel.js';
import type { Kernel, Reduction, ScatterProblem } from './scatter-problem.js';

/** Whether atomics join elements in any order to the same bits. */
export function isOrderless(dtype: DType, reduction: Reduction): boolean {
  if (reduction === 'none') return false;
  if (['int', 'uint'].includes(dtypeInfo(dtype).class)) return true;
  return reduction !== 'add' && reduction !== 'mul' && ['float32', 'float16', 'bfloat16'].includes(dtype);
}

export function scatterInPlace(p: ScatterProblem): Promise<EmittedStep> {
  const { x, y, reduction } = p;
  const [c, t] = [names('c', p.dims.length), names('t', p.dims.length)];
  const best = reduction === 'max' || reduction === 'min' ? `best<${String(reduction === 'max')}>` : undefined;
  const before = best === undefined ? x.at(c) : `before_${best}(${x.at(c)})`;
  const begin = p.overResult('begin', `  ${y.at(c)} = ${before};`);
  const join = p.overUpdates('join', `  atomic_${best ?? reduction}(&${y.at(t)}, update);`);
  return launchKernels(p, [begin, join]);
}

/** Bits for the carries of so many updates of one place, and of the element that is there. */
function roomFor(updates: number): number {
  return Math.ceil(Math.log2(updates + 2));
}

/**
 * Whether to sum floats up without rounding. Every element of the result has a sum: where they are many more than the
 * updates, lists move less.
 */
export function hasSums({ x, dims, updates, reduction, mostUpdates }: ScatterProblem): boolean {
  if (reduction !== 'add' || !['float32', 'float16', 'bfloat16'].includes(x.dtype)) return false;
  const [elements, all] = [productOf(dims), productOf(updates.view.dims)].map((d) => dimBounds(d).max);
  return roomFor(mostUpdates) <= 32 && elements! <= 2 * all!;
}

/** Room for the carries of sums of float16, whose elements have 41 bits in the sums' unit. */
const halfRoom = 22;

export function scatterSums(p: ScatterProblem): Promise<EmittedStep> {
  const { args, x, y } = p;
  const rank = p.dims.length;
  const [c, t] = [names('c', rank), names('t', rank)];
  const count = productOf(p.dims);
  const sums = args.workspace(0, 'i64');
  const [sumBytes, wordBytes] = [mulDims(count, 8), mulDims(count, 4)];
  const words = args.workspace(sumBytes, 'u32');
  const target = `  const ${p.number} place = ${p.flat(t, p.dims)};`;
  const room = roomFor(p.mostUpdates);
  if (x.dtype === 'float16' && room <= halfRoom) {
    const begin = p.overResult('begin', `  ${sums}[i] = 0;\n  if (i % 8 == 0) ${words}[i / 8] = 0;`);
    const add = p.overUpdates('add', `${target}\n  add_half(${sums} + place, ${words}, place, update);`);
    const finish = p.overResult('finish', `  ${y.at(c)} = half_sum(${sums}[i], ${words}, i, ${x.at(c)});`);
    return launchKernels(p, [begin, add, finish], addDims(sumBytes, mulDims(ceilDivDims(count, 8), 4)));
  }
  const way = `<${String(room)}>`;
  const begin = p.overResult('begin', `  ${sums}[i] = 0;\n  ${words}[i] = top_of(${x.at(c)});`);
  const raise = p.overUpdates('raise', `${target}\n  raise_top(${words} + place, update);`);
  const add = p.overUpdates('add', `${target}\n  add_part${way}(${sums} + place, ${words}[place], update);`);
  const finish = p.overResult(
    'finish',
    `  ${y.at(c)} = convert<${y.type}>(sum_of${way}(${sums}[i], ${words}[i], ${x.at(c)}));`,
  );
  return launchKernels(p, [begin, raise, add, finish], addDims(sumBytes, wordBytes));
}

function launchKernels(p: ScatterProblem, kernels: readonly Kernel[], workspaceBytes?: Dim): Promise<EmittedStep> {
  return launchStep({
    uses: ['indexing', 'scatter'],
    text: kernels.map((k) => k.text).join(''),
    arguments: p.args,
    launches: kernels.map((k) => k.launch),
    ...(workspaceBytes !== undefined && { workspaceBytes }),
  });
}
