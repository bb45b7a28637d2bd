/** Runs every operator on its own evaluation: one tactic, dense row-major operands. */

import {
  type Backend,
  type Candidate,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  type Graph,
  type Node,
  operatorOf,
  productOf,
  topologicalOrder,
  type Value,
  writeOperator,
} from '@tensorwright/core';
import { ReferenceExecutor } from './executor.js';
import { version } from './version.js';

export const referenceBackend: Backend = {
  name: 'reference',
  version,
  device: () => ({ id: 'reference', description: 'plain TypeScript, one thread' }),
  refuses: refusal,
  candidates: (node) => [candidateOf(node)],
  emit: async (node, _candidate, context) => emitStep(node, context),
  createExecutor: (context) => new ReferenceExecutor(context),
};

function refusal(node: Node): string | undefined {
  const operator = operatorOf(node.op);
  const evaluated = operator.evaluate !== undefined || (operator.kind === 'map' && operator.scalar !== undefined);
  if (!evaluated) return `the operator '${node.op}' has no evaluation`;
  for (const region of node.regions) {
    const reason = regionRefusal(region);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function regionRefusal(region: Graph): string | undefined {
  for (const node of topologicalOrder(region)) {
    const reason = node.op === 'input' ? undefined : refusal(node);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function candidateOf(node: Node): Candidate {
  return {
    tactic: 'reference',
    parameters: {},
    inputs: node.inputs.map(() => 'rows'),
    outputs: node.outputs.map(() => 'rows'),
    stridedOutput: false,
    estimate: estimate(node),
    producer: `reference ${version}`,
  };
}

/** Microseconds, roughly: a fixed cost, and twenty million elements a second. */
function estimate(node: Node): number {
  const elements = [...node.inputs, ...node.outputs].reduce((sum, v) => sum + elementsOf(v), 0);
  return 10 + Math.min(elements, 2 ** 40) / 20;
}

function elementsOf(value: Value | undefined): number {
  if (value?.type.kind !== 'tensor' || !value.type.dims) return 0;
  return Math.max(0, dimBounds(productOf(value.type.dims)).max);
}

function emitStep(node: Node, context: EmitContext): EmittedStep {
  return {
    kernel: 'reference',
    attributes: writeOperator(node, context),
    inputs: node.inputs.map((v, index) => (v ? { kind: 'input', index } : { kind: 'omitted' })),
    outputs: node.outputs.map((_, index) => ({ kind: 'output', index })),
  };
}
