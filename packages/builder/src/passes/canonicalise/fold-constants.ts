/** Evaluates nodes whose inputs are all constants, within a budget: constants never grow by more than the option allows. */

import {
  byteLength,
  ConstantData,
  elementCount,
  evaluateNode,
  type Graph,
  isFoldable,
  type Node,
  operatorOf,
  type Steps,
  Tensor,
  transformSteps,
  type Value,
} from '@tensorwright/core';
import type { Pass, PassContext } from '../../pass.js';

const defaultBudget = 4 << 20;

/** These make large tensors out of small ones: folding them costs memory and saves nothing. */
const growing = new Set(['expand', 'tileDynamic', 'expandDynamic', 'range']);
const growingLimit = 1 << 16;

export const foldConstants: Pass = folding(() => true);

/** Leaves quantized constants as they are, for products of integers to be found. */
export const foldIntegerConstants: Pass = folding((node) => node.op !== 'dequantizeLinear');

function folding(mayFold: (node: Node) => boolean): Pass {
  return {
    name: 'fold-constants',
    phase: 'canonicalise',
    run: (graph, context) => foldNodes(graph, context, mayFold),
  };
}

function foldNodes(graph: Graph, context: PassContext, mayFold: (node: Node) => boolean): Steps<Graph> {
  let budget = context.options.foldingBudgetBytes ?? defaultBudget;
  return transformSteps(graph, context.builder, (node) => {
    if (!isFoldable(node) || !mayFold(node) || !node.outputs.every((o) => isFoldableType(o))) return undefined;
    const bytes = node.outputs.reduce((sum, o) => sum + bytesOf(o), 0);
    const consumed = node.inputs.reduce((sum, v) => sum + (v ? bytesOf(v) : 0), 0);
    if (growing.has(node.op) && bytes > growingLimit) return undefined;
    if (bytes - consumed > budget) return undefined;
    const values = fold(node, context);
    if (values) budget -= Math.max(0, bytes - consumed);
    return values;
  });
}

/** Views stay views: the plan reads through them for nothing. */
function isFoldableType(v: Value): boolean {
  return v.type.kind === 'tensor' && (v.type.dims?.every((d) => typeof d === 'number') ?? false);
}

function bytesOf(v: Value): number {
  if (v.type.kind !== 'tensor' || !v.type.dims) return 0;
  return byteLength(v.type.dtype, elementCount(v.type.dims as number[]));
}

function fold(node: Node, context: PassContext): readonly Value[] | undefined {
  if (operatorOf(node.op).kind === 'control') return undefined;
  const inputs = node.inputs.map((v) => v && (v.node.attributes['data'] as ConstantData).tensor);
  const results = evaluateNode(node, inputs, context.options.signal ? { signal: context.options.signal } : {});
  if (!results.every((r) => r instanceof Tensor)) return undefined;
  return results.map((r) => context.builder.constant(ConstantData.of(r)));
}
