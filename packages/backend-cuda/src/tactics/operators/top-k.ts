/** topK: a block to a row; rows that fit are sorted whole, longer ones after a radix selection. */

import {
  type Dim,
  dimBounds,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  mulDims,
  type Node,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { countedShape } from './counted-shape.js';
import { AnchorOperands, coordinates, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

/** Ranked elements that a block keeps in shared memory, in bytes. */
const sharedBytes = 32768;

export const topK: Tactic = operatorTactic({
  name: 'topK',
  operators: ['topK'],
  counts: true,
  emit: (group: GroupView, context: EmitContext): Promise<EmittedStep> =>
    countedShape({ group, context, shape: printShape, write: () => emitTopK(group, context) }),
});

/** As the operand, but for the axis. */
function printShape(operands: AnchorOperands, args: Arguments, { attributes }: Node): string {
  const { dims } = operands.input(0).view;
  const axis = ((attributes['axis'] as number) + dims.length) % dims.length;
  const extents = dims.map((d, k) => `  dims[${String(k)}] = ${args.dim(d)};`);
  return `${extents.join('\n')}
  const i64 k = convert<i64>(*${operands.input(1).pointer});
  valid = k <= dims[${String(axis)}];
  dims[${String(axis)}] = k;`;
}

function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(n, 2)));
}

function emitTopK(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const [x, values, indices] = [operands.input(0), operands.output(0), operands.output(1)];
  const rank = x.view.dims.length;
  const axis = ((attributes['axis'] as number) + rank) % rank;
  const n = x.view.dims[axis]!;
  const k = values.view.dims[axis]!;
  const rows = x.view.dims.map((d, i) => (i === axis ? 1 : d));
  const wide = dtypeInfo(x.dtype).bits > 32;
  const itemBytes = wide ? 16 : 8;
  const capacity = sharedBytes / itemBytes;
  const whole = dimBounds(n).max <= capacity;
  const longest = dimBounds(whole ? n : k).max;
  const shared = longest <= capacity;
  const [key, item] = wide ? ['u64', 'Ranked<u64>'] : ['u32', 'Ranked<u32>'];
  // Fewer than twice the elements make the next power of two.
  const slots: Dim = mulDims(k, 2);
  const threads = whole ? Math.min(Math.max(powerOfTwo(longest) / 2, 32), 1024) : 1024;
  const t = String(threads);
  const number = indexType(x.view, values.view, indices.view);
  const c = names('c', rank);
  const element = (at: string): string => x.at(c.toSpliced(axis, 1, `${number}(${at})`));
  const load = `[&](u32 at) { return order_key<${key}>(${element('at')}, ${String(attributes['largest'] === true)}); }`;
  const items = shared
    ? `__shared__ ${item} items[${String(powerOfTwo(longest))}];`
    : `${item}* const items = reinterpret_cast<${item}*>(${args.workspace(0, 'u64')}) + i64(blockIdx.x) * ${args.dim(slots)};`;
  const text = `
extern "C" __global__ void __launch_bounds__(${t}) top_k(const __grid_constant__ Arguments a) {
  ${items}
  wait_for_predecessor();
  let_successor_start();
  const ${number} row = ${number}(blockIdx.x);
${coordinates(rows, 'rows', number, args, { linear: 'row' })}
  const u32 n = ${args.dim(n)}, k = ${args.dim(k)};
  const auto load = ${load};
  u32 size = 2;
  while (size < ${whole ? 'n' : 'k'}) size *= 2;
${
  whole
    ? `  for (u32 i = threadIdx.x; i < size; i += ${t}) {
    items[i] = {~${key}{0}, ~u32{0}};
    if (i < n) items[i] = {load(i), i};
  }`
    : `  if (k == 0) return;
  collect_best<${t}, ${key}>(items, size, n, k, load);`
}
  bitonic_sort<${t}>(items, size);
  for (u32 i = threadIdx.x; i < k; i += ${t}) {
    const u32 from = items[i].index;
    ${values.at(c.toSpliced(axis, 1, `${number}(i)`))} = ${element('from')};
    ${indices.at(c.toSpliced(axis, 1, `${number}(i)`))} = from;
  }
}
`;
  return launchStep({
    uses: ['top_k'],
    text,
    arguments: args,
    launches: [{ function: 'top_k', grid: [productOf(rows), 1, 1], block: [threads, 1, 1] }],
    ...(!shared && { workspaceBytes: mulDims(mulDims(productOf(rows), slots), itemBytes) }),
    outputs: 2,
  });
}
