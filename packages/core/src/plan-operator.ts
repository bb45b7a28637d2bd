/** An operator as a step of a plan carries it, for executors that run steps by the operators' own evaluation. */

import type { EmitContext, ExecutorContext, StepRunOptions } from './backend.js';
import { constantReference, readConstant } from './constant-reference.js';
import { createSymbol, type DimSymbol } from './dim.js';
import { TensorwrightError } from './errors.js';
import { evaluateNode } from './evaluate.js';
import type { Node } from './graph.js';
import type { RuntimeValue } from './operator.js';
import type { PlanStep } from './plan.js';
import { deserializeOperator, type SerializedOperator, serializeOperator } from './serialize.js';

/** The step's attribute that holds it. */
export function writeOperator(node: Node, context: EmitContext): { readonly node: string } {
  const operator = serializeOperator(node, {
    symbol: (s) => context.symbol(s),
    constant: (data) => constantReference(data, context),
  });
  return { node: JSON.stringify(operator) };
}

/** An operator ready to run, and the plan's symbols that occur in it. */
export interface PlanOperator {
  readonly node: Node;
  readonly symbols: ReadonlyMap<number, DimSymbol>;
}

/** @throws ERR_INVALID_PLAN naming the layer */
export function readOperator(step: PlanStep, context: ExecutorContext): PlanOperator {
  const text = step.attributes['node'];
  if (typeof text !== 'string') throw malformedStep(step, "attribute 'node' must be a string");
  const symbols = new Map<number, DimSymbol>();
  const symbolOf = (index: number): DimSymbol => {
    let symbol = symbols.get(index);
    if (!symbol) symbols.set(index, (symbol = createSymbol(`s${String(index)}`)));
    return symbol;
  };
  let node: Node;
  try {
    node = deserializeOperator(JSON.parse(text) as SerializedOperator, {
      symbol: symbolOf,
      constant: (reference) => readConstant(reference, context),
    });
  } catch (cause) {
    throw malformedStep(step, (cause as Error).message, cause);
  }
  if (step.inputs.length < node.inputs.length || step.outputs.length !== node.outputs.length)
    throw malformedStep(
      step,
      `${node.op} takes ${String(node.inputs.length)} inputs and gives ${String(node.outputs.length)} outputs`,
    );
  return { node, symbols };
}

/**
 * Names of the operators that a step evaluates: its own and those of the bodies in it. None where it evaluates none.
 * @throws ERR_INVALID_PLAN naming the layer
 */
export function operatorsIn(step: PlanStep): readonly string[] {
  const text = step.attributes['node'];
  if (typeof text !== 'string') return [];
  try {
    return namesIn(JSON.parse(text) as SerializedOperator);
  } catch (cause) {
    throw malformedStep(step, (cause as Error).message, cause);
  }
}

function namesIn({ op, regions }: Pick<SerializedOperator, 'op' | 'regions'>): string[] {
  return [op, ...regions.flatMap((region) => region.nodes.flatMap(namesIn))];
}

export function runOperator(
  { node, symbols }: PlanOperator,
  inputs: readonly (RuntimeValue | undefined)[],
  { symbols: values, signal, maxIterations }: StepRunOptions,
): readonly RuntimeValue[] {
  const known = new Map<DimSymbol, number>();
  for (const [index, symbol] of symbols) {
    const value = values.get(index);
    if (value !== undefined) known.set(symbol, value);
  }
  return evaluateNode(node, inputs, {
    symbols: known,
    ...(signal && { signal }),
    ...(maxIterations !== undefined && { maxIterations }),
  });
}

/** ERR_INVALID_PLAN naming the layer. */
export function malformedStep(step: PlanStep, message: string, cause?: unknown): TensorwrightError {
  const layer = step.layer.name;
  return new TensorwrightError('ERR_INVALID_PLAN', `layer '${layer}': ${message}`, { layer }, { cause });
}
