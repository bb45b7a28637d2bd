/** Updates in any order, where the result is the same: by atomics, in the result itself or in sums that do not round. */

import {
  addDims,
  ceilDivDims,
  dimBounds,
  type DType,
  dtypeInfo,
  type EmittedStep,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { names } from './element-kernel.js';
import { type Kernel, launchKernels, type Reduction, type ScatterProblem } from './scatter-problem.js';

/** Whether atomics join elements in any order to the same bits. */
export function isOrderless(dtype: DType, reduction: Reduction): boolean {
  if (reduction === 'none') return false;
  if (['int', 'uint'].includes(dtypeInfo(dtype).class)) return true;
  return reduction !== 'add' && reduction !== 'mul' && ['float32', 'float16', 'bfloat16'].includes(dtype);
}

/** Whether what is there already may stay as it is until updates join it. */
export function isExact(dtype: DType, reduction: Reduction): boolean {
  return isOrderless(dtype, reduction) && ['int', 'uint'].includes(dtypeInfo(dtype).class);
}

/** Where the data lie, which are the result. */
export function scatterInPlace(p: ScatterProblem): Promise<EmittedStep> {
  return launchKernels(p, [joinUpdates(p)]);
}

/** Least and largest floats: NaNs that are there already have other bits until all updates have joined them. */
export function scatterBest(p: ScatterProblem): Promise<EmittedStep> {
  const c = names('c', p.dims.length);
  const before = `before_best<${String(p.reduction === 'max')}>(${p.x.at(c)})`;
  return launchKernels(p, [p.overResult('begin', `  ${p.y.at(c)} = ${before};`), joinUpdates(p)]);
}

function joinUpdates(p: ScatterProblem): Kernel {
  const { reduction } = p;
  const best = reduction === 'max' || reduction === 'min' ? `best<${String(reduction === 'max')}>` : undefined;
  return p.overUpdates('join', `  atomic_${best ?? reduction}(&${p.y.at(names('t', p.dims.length))}, update);`);
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
