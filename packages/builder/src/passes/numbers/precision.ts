/**
 * Weak typing as one pass over a strongly typed core: contractions move to 16 bits, and with them what follows them and
 * is safe there; casts are written where the precision changes. Statistics, large sums, index arithmetic and the
 * network's own inputs and outputs keep their dtype, and so do the first contractions where 16 bits are predicted to
 * lose too much. Accumulators are float32 always.
 */

import {
  type DType,
  type Graph,
  type NameMatcher,
  nameMatcher,
  type Node,
  operatorOf,
  Rebuilder,
  type Steps,
  topologicalOrder,
  type Value,
} from '@tensorwright/core';
import type { Pass, PassContext } from '../../pass.js';
import { dimsOf } from '../rules.js';
import { contractionsToKeep, type Kept } from './rounding/keep.js';

/** Kernels that read and write 16 bits and compute their statistics in float32. */
const float32Inside = new Set([
  'softmax',
  'logSoftmax',
  'layerNorm',
  'rmsNorm',
  'groupNorm',
  'instanceNorm',
  'attention',
  'pool',
  'resize',
  'maxPoolWithIndices',
]);
/** Ill-conditioned in 16 bits outside of fused kernels. */
const unsafe = new Set(['exp', 'log', 'pow', 'reciprocal', 'sqrt', 'div', 'cumSum', 'cumProd', 'reduce', 'mod']);

export const precision: Pass = {
  name: 'precision',
  phase: 'numbers',
  run(graph: Graph, context: PassContext): Graph | Steps<Graph> {
    const { fp16, bf16, keepFloat32 } = context.options.precision ?? {};
    if (fp16 !== true && bf16 !== true) {
      warnOfUnused(context);
      return graph;
    }
    return choose(graph, fp16 === true ? 'float16' : 'bfloat16', context, nameMatcher(keepFloat32 ?? []));
  },
};

function warnOfUnused({ options, log }: PassContext): void {
  const { tf32, keepFloat32 = [], roundingTolerance } = options.precision ?? {};
  if (keepFloat32.length > 0 && tf32 !== true)
    log({ level: 'warn', message: 'precision.keepFloat32 has no effect without fp16, bf16 or tf32' });
  if (roundingTolerance !== undefined)
    log({ level: 'warn', message: 'precision.roundingTolerance has no effect without fp16 or bf16' });
}

function* choose(graph: Graph, to: DType, context: PassContext, named: NameMatcher): Steps<Graph> {
  const { provenance } = context.builder;
  const isNamed = (node: Node): boolean => provenance.of(node).some(named);
  const tolerance = context.options.precision?.roundingTolerance;
  const found = yield* contractionsToKeep(graph, to, tolerance, (node) => !isNamed(node));
  tell(found, to, context);
  return yield* narrow(graph, to, context, (node) => found.contractions.has(node) || isNamed(node));
}

function tell({ contractions, before, after, limit }: Kept, to: DType, { builder, log }: PassContext): void {
  if (before <= limit) return;
  const text = (error: number): string => error.toExponential(1);
  const kept = [...contractions];
  const last = kept.length > 0 ? builder.provenance.of(kept.at(-1)!).join(', ') : '';
  log({
    level: 'info',
    message:
      kept.length > 0
        ? `the first ${String(kept.length)} contractions, up to ${last}, stay in float32: all in ${to} are predicted an error of ${text(before)}, these kept ${text(after)}`
        : `${to} is predicted an error of ${text(before)}: float32 for the first contractions would not bring it to ${text(limit)}`,
    data: { contractions: kept.flatMap((node) => [...builder.provenance.of(node)]), before, after },
  });
}

function* narrow(graph: Graph, to: DType, context: PassContext, kept: (node: Node) => boolean): Steps<Graph> {
  const { builder } = context;
  const rebuilder = new Rebuilder(builder);
  /** Old value → the 16-bit one it has become, and the float32 cast of that where somebody asked. */
  const low = new Map<Value, Value>();
  const widened = new Map<Value, Value>();

  const asFull = (v: Value): Value => {
    const narrowed = rebuilder.value(v);
    if (!low.has(v) || isFloat32(narrowed)) return narrowed;
    let found = widened.get(v);
    if (!found) widened.set(v, (found = builder.op('cast', [narrowed], { to: 'float32' })));
    return found;
  };
  const asLow = (v: Value): Value => {
    let found = low.get(v);
    if (!found) low.set(v, (found = builder.op('cast', [asFull(v)], { to })));
    return found;
  };

  for (const node of topologicalOrder(graph)) {
    if (node.op === 'input') continue;
    yield;
    builder.origin = builder.provenance.of(node);
    const [operand] = node.inputs;
    if (node.op === 'reduce' && operand && low.has(operand) && !isFloat32(asLow(operand)) && !kept(node)) {
      // Read in 16 bits, accumulated and handed on in float32: sums of 16-bit numbers overflow early.
      rebuilder.set(node, [builder.op('reduce', [asLow(operand)], { ...node.attributes, to: 'float32' })]);
      continue;
    }
    const narrows = runsNarrow(node, low) && !kept(node);
    const inputs = node.inputs.map((v) => v && (narrows && isFloat32(v) ? asLow(v) : asFull(v)));
    const { outputs } = rebuilder.rebuildOn(node, inputs);
    rebuilder.set(node, outputs);
    node.outputs.forEach((v, i) => {
      if (isFloat32(v) && !isFloat32(outputs[i]!)) low.set(v, outputs[i]!);
    });
  }
  builder.origin = [];
  return { inputs: graph.inputs, outputs: graph.outputs.map(asFull) };
}

function isFloat32(v: Value): boolean {
  return v.type.kind === 'tensor' && v.type.dtype === 'float32';
}

function runsNarrow(node: Node, low: ReadonlyMap<Value, Value>): boolean {
  const operator = operatorOf(node.op);
  const floats = node.inputs.filter((v): v is Value => v !== undefined && isFloat32(v));
  if (floats.length === 0 || !node.outputs.every(isFloat32)) return false;
  if (node.op === 'dot' || node.op === 'conv' || node.op === 'attention') return true;
  const follows = floats.some((v) => low.has(v));
  if (!follows || unsafe.has(node.op)) return false;
  if (float32Inside.has(node.op) || operator.kind === 'movement' || movesRows(node)) return true;
  // Constants and per-row factors may follow; two full-size float32 operands would each need a cast.
  const wide = floats.filter((v) => !low.has(v) && v.node.op !== 'constant' && (dimsOf(v)?.length ?? 0) > 1);
  return operator.kind === 'map' && operator.numerics?.safeIn16Bit !== false && wide.length === 0;
}

/** Picks at known places move rows. Others pick few of many, boxes say, and often: a cast of each would be a step. */
function movesRows({ op, inputs }: Node): boolean {
  return op === 'gather' && inputs[1]?.node.op === 'constant';
}
