/** Attention: products, masks and softmax in one kernel; long keys of few queries are split over blocks. */

import {
  ceilDivDims,
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  exactQuotient,
  type GroupView,
  type Layout,
  mulDims,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { type Launch, launchStep } from '../launch/launch-step.js';
import { Workspace } from '../launch/workspace.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { attentionProblem } from './attention-problem.js';
import {
  type AttentionExtents,
  type AttentionShape,
  biasKeysOf,
  mmaBlock,
  type MmaShape,
  mmaShapes,
  simtBlock,
  simtShapes,
} from './attention-shape.js';
import { machineOf } from './contraction/machine.js';
import { dtypeOf, refuseOperands } from './operands.js';

const largestHead = 256;
const maskTypes = new Set(['bool', 'float32', 'float16', 'bfloat16']);

export const attention: Tactic = {
  name: 'attention',
  refuses(group: GroupView): string | undefined {
    const { anchor } = group;
    if (anchor?.op !== 'attention') return 'no attention';
    if (!group.expressions().every((e) => e.op === 'arg') || group.anchorInputs.includes(-1))
      return 'only the operator itself';
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    return refuseAttention(group);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const extents = attentionExtents(group);
    const ranked = isSimt(group) ? simtShapes(extents) : mmaShapes(extents);
    return ranked.flatMap(({ shape, microseconds }) =>
      attentionLayouts(group).map((layout) => ({
        variant: isSimt(group) ? 'float32' : 'mma',
        parameters: { ...shape },
        inputs: group.node.inputs.map(() => 'strided' as const),
        outputs: [layout],
        stridedOutput: true,
        estimate: microseconds,
      })),
    );
  },
  emit(group: GroupView, candidate, context: EmitContext): Promise<EmittedStep> {
    const shape = candidate.parameters as AttentionShape;
    const args = new Arguments();
    const { batch, heads, rows } = attentionDims(group);
    const simt = isSimt(group);
    const sizes = sizesOf(group);
    const biasKeys = simt ? 0 : biasKeysOf(attentionExtents(group), shape.keys);
    const block = simt ? simtBlock(shape, sizes) : mmaBlock(shape as MmaShape, sizes, biasKeys);
    const tiles = ceilDivDims(rows, block.rows);
    const columns = sizes.valueSize;
    const partialRows = mulDims(mulDims(batch, heads), mulDims(tiles, shape.splits * block.rows));
    const split = shape.splits > 1;
    const workspace = new Workspace();
    const partial = split
      ? {
          states: args.workspace(workspace.take(mulDims(partialRows, 8)), 'f32'),
          values: args.workspace(workspace.take(mulDims(partialRows, 4 * columns)), 'f32'),
        }
      : { states: 'nullptr', values: 'nullptr' };
    const problem = attentionProblem(group, context, args, {
      packed: isPacked(group),
      splits: shape.splits,
      ...partial,
    });
    const parameters = simt
      ? [shape['tiles'], shape['keys']]
      : [shape['warps'], shape['tiles'], shape['keys'], String(shape['one'] === 1), shape['keyWarps'], biasKeys];
    // Of small blocks the compiler would want many at a time, and spill registers for it.
    const bounds = simt
      ? `${String(block.threads)}, 2`
      : block.threads <= 96
        ? `${String(block.threads)}, 1`
        : String(block.threads);
    const launches: Launch[] = [
      {
        function: 'attention',
        grid: [mulDims(tiles, shape.splits), heads, batch],
        block: [block.threads, 1, 1],
        sharedBytes: block.sharedBytes,
      },
    ];
    if (split)
      launches.push({
        function: 'attention_second',
        grid: [ceilDivDims(rows, combineThreads / 32), heads, batch],
        block: [combineThreads, 1, 1],
      });
    return launchStep({
      uses: ['attention', ...(simt ? ['attention_simt'] : ['attention_softmax', 'attention_mma'])],
      text: `${problem}
extern "C" __global__ void __launch_bounds__(${bounds}) attention(const __grid_constant__ Arguments a) {
  attention_${simt ? 'simt' : 'mma'}<${parameters.join(', ')}>(Problem{a});
}
${split ? secondKernel(block.rows) : ''}`,
      arguments: args,
      launches,
      ...(split && { workspaceBytes: workspace.bytes }),
    });
  },
};

/** What attention and its scores have in common. */
export function refuseAttention(group: GroupView): string | undefined {
  const { op, inputs } = group.anchor!;
  const [q, k] = inputs;
  const v = op === 'attention' ? inputs[2] : k;
  const mask = inputs[op === 'attention' ? 3 : 2];
  const dtype = dtypeOf(q)!;
  if (dtype === 'float64') return 'attention computes in float32';
  if (dtypeOf(k) !== dtype || dtypeOf(v) !== dtype) return 'queries, keys and values of different types';
  if (mask && !maskTypes.has(dtypeOf(mask)!)) return `a mask of ${dtypeOf(mask)!}`;
  if (mask && (mask.type as TensorType).dims!.length > 4) return 'a mask of more than four axes';
  const [, heads, , size] = (q!.type as TensorType).dims!;
  const [, keyHeads] = (k!.type as TensorType).dims!;
  const valueSize = (v!.type as TensorType).dims![3];
  if (typeof size !== 'number' || typeof valueSize !== 'number') return 'head sizes are only known at run time';
  if (size > largestHead || valueSize > largestHead) return `heads of more than ${String(largestHead)} columns`;
  if (size === 0 || valueSize === 0) return 'heads of no columns';
  return exactQuotient(heads!, keyHeads!) === undefined
    ? 'how many query heads share a key head is only known at run time'
    : undefined;
}

const combineThreads = 128;

function secondKernel(rows: number): string {
  return `
extern "C" __global__ void __launch_bounds__(${String(combineThreads)}) attention_second(const __grid_constant__ Arguments a) {
  attention_combine<${String(rows)}, ${String(combineThreads)}>(Problem{a});
}
`;
}

function isSimt(group: GroupView): boolean {
  return dtypeOf(group.outputs[0]) === 'float32';
}

function shapesOf(group: GroupView): readonly (readonly Dim[])[] {
  return group.anchor!.inputs.slice(0, 3).map((v) => (v!.type as TensorType).dims!);
}

/** Head sizes, padded to what kernels compute with. */
function sizesOf(group: GroupView): { readonly size: number; readonly valueSize: number } {
  const [q, , v] = shapesOf(group);
  return { size: pad(q![3] as number), valueSize: pad(v![3] as number) };
}

const fewQueries = 16;

/** Whether the query heads of a key head share tiles: where queries alone would not fill them. */
export function isPacked(group: GroupView): boolean {
  const [q, k] = shapesOf(group);
  return exactQuotient(q![1]!, k![1]!) !== 1 && dimBounds(q![2]!).max < fewQueries;
}

/** The product that follows mostly takes all heads of a position as one row. */
export function attentionLayouts(group: GroupView): readonly Layout[] {
  const { dims } = group.outputs[0]!.type as TensorType;
  return dims!.length === 4 ? ['rows', 'headsInner'] : ['rows'];
}

/** The heads that get blocks of their own, and the rows of each. */
export function attentionDims(group: GroupView): { readonly batch: Dim; readonly heads: Dim; readonly rows: Dim } {
  const [q, k] = shapesOf(group);
  const [batch, heads, queries] = q!;
  if (!isPacked(group)) return { batch: batch!, heads: heads!, rows: queries! };
  return { batch: batch!, heads: k![1]!, rows: mulDims(exactQuotient(heads!, k![1]!)!, queries!) };
}

export function attentionExtents(group: GroupView): AttentionExtents {
  const { batch, heads, rows } = attentionDims(group);
  const keys = shapesOf(group)[1]![2]!;
  return {
    heads: usual(mulDims(batch, heads), 16),
    rows: usual(rows, 512),
    keys: usual(keys, 1024),
    mostKeys: dimBounds(keys).max,
    ...sizesOf(group),
    causal: group.anchor!.attributes['isCausal'] === true,
    commonMask: !isPacked(group) && hasCommonMask(group),
    sharedBytes: machineOf().sharedBytes,
  };
}

/** Whether there is a mask, and all queries of a head have the same. */
function hasCommonMask(group: GroupView): boolean {
  const mask = group.anchor!.inputs[3];
  const dims = mask && (mask.type as TensorType).dims!;
  return dims !== undefined && (dims.length < 2 || dims.at(-2) === 1);
}

/** An extent for the model: exact where it is known, else its largest value within reason. */
function usual(d: Dim, reason: number): number {
  const { min, max } = dimBounds(d);
  return Math.max(1, min, Math.min(max, reason));
}

function pad(size: number): number {
  return Math.ceil(size / 16) * 16;
}
