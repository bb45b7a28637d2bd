/** Runs a graph by the operators' own evaluation: constant folding, the reference backend and the oracle of all tests. */

import type { ConstantData } from './constant.js';
import { asSymbol, type Dim, type DimSymbol, dimSymbols, evaluateDim } from './dim.js';
import { TensorwrightError } from './errors.js';
import { evaluateMap } from './evaluate-map.js';
import type { Graph, Node, Value } from './graph.js';
import { memo } from './memo.js';
import { topologicalOrder } from './order.js';
import { type EvaluateContext, operatorOf, type RuntimeValue } from './operator.js';
import { Tensor } from './tensor.js';
import { formatType } from './type.js';

export interface EvaluateOptions {
  /** Values of symbols, filled in as shapes become known. */
  readonly symbols?: Map<DimSymbol, number>;
  readonly signal?: AbortSignal;
  /** Iterations a Loop may take before ERR_LIMIT_EXCEEDED. Default: 2^31. */
  readonly maxIterations?: number;
  /** Called with every value computed, in order. */
  readonly onValue?: (value: Value, result: RuntimeValue | undefined) => void;
}

/** Evaluates `graph` on `inputs` (in the order of `graph.inputs`). */
export function evaluateGraph(
  graph: Graph,
  inputs: readonly (RuntimeValue | undefined)[],
  options: EvaluateOptions = {},
): RuntimeValue[] {
  const run: Run = { symbols: options.symbols ?? new Map<DimSymbol, number>(), options, iterations: 0 };
  return runGraph(graph, inputs, run);
}

/** Evaluates one node on given inputs. */
export function evaluateNode(
  node: Node,
  inputs: readonly (RuntimeValue | undefined)[],
  options: EvaluateOptions = {},
): readonly RuntimeValue[] {
  return runNode(node, inputs, { symbols: options.symbols ?? new Map<DimSymbol, number>(), options, iterations: 0 });
}

interface Run {
  readonly symbols: Map<DimSymbol, number>;
  readonly options: EvaluateOptions;
  iterations: number;
}

/** Evaluation orders of graphs, kept because loop bodies run many times. */
const orderOf: (graph: Graph) => readonly Node[] = memo(topologicalOrder);

function runGraph(graph: Graph, inputs: readonly (RuntimeValue | undefined)[], run: Run): RuntimeValue[] {
  const values = new Map<Value, RuntimeValue | undefined>();
  graph.inputs.forEach((value, i) => {
    values.set(value, inputs[i]);
    bind(value, inputs[i], run.symbols);
  });
  for (const node of orderOf(graph)) {
    if (node.op === 'input') continue;
    checkpoint(run, false);
    const results = runNode(
      node,
      node.inputs.map((v) => v && values.get(v)),
      run,
    );
    node.outputs.forEach((value, i) => {
      values.set(value, results[i]);
      bind(value, results[i], run.symbols);
      run.options.onValue?.(value, results[i]);
    });
  }
  return graph.outputs.map((v) => values.get(v)!);
}

function runNode(node: Node, inputs: readonly (RuntimeValue | undefined)[], run: Run): readonly RuntimeValue[] {
  const operator = operatorOf(node.op);
  const context = evaluateContext(node, inputs, run);
  if (operator.kind === 'map' && operator.scalar) return [evaluateMap(operator.scalar, context)];
  if (!operator.evaluate) throw new TensorwrightError('ERR_INTERNAL', `operator '${node.op}' has no evaluation`);
  return operator.evaluate(context);
}

function evaluateContext(node: Node, inputs: readonly (RuntimeValue | undefined)[], run: Run): EvaluateContext {
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_VALUE', `${node.op}: ${message}`, { operator: node.op });
  };
  const tensor = (i: number): Tensor => {
    const value = inputs[i];
    return value instanceof Tensor
      ? value
      : fail(`input ${String(i)} is ${value ? `a ${value.kind}` : 'omitted'}, a tensor is needed`);
  };
  return {
    op: node.op,
    attributes: node.attributes,
    outputTypes: node.outputs.map((o) => o.type),
    regions: node.regions,
    inputs,
    tensor,
    has: (i) => inputs[i] !== undefined,
    integers: (i) => Array.from(tensor(i).data as ArrayLike<number | bigint>, Number),
    dim: (d) => evaluateDim(d, (s) => run.symbols.get(s)),
    isKnown: (d) => [...dimSymbols(d)].every((s) => run.symbols.has(s)),
    run: (region, args) => runGraph(region, args, run),
    checkpoint: () => {
      checkpoint(run, true);
    },
    fail,
  };
}

function checkpoint(run: Run, iteration: boolean): void {
  run.options.signal?.throwIfAborted();
  const limit = run.options.maxIterations ?? 2 ** 31;
  if (iteration && ++run.iterations > limit) {
    throw new TensorwrightError(
      'ERR_LIMIT_EXCEEDED',
      `a loop ran more than ${String(limit)} iterations (option maxIterations)`,
      { option: 'maxIterations', limit },
    );
  }
}

/** Takes the values of symbols from an actual shape. */
export function bind(value: Value, actual: RuntimeValue | undefined, symbols: Map<DimSymbol, number>): void {
  if (!(actual instanceof Tensor) || value.type.kind !== 'tensor' || value.type.dims === undefined) return;
  const { dims } = value.type;
  if (dims.length !== actual.dims.length) {
    throw new TensorwrightError(
      'ERR_SHAPE_MISMATCH',
      `${value.node.op}: expected ${formatType(value.type)}, received [${actual.dims.join(', ')}]`,
    );
  }
  dims.forEach((d: Dim, axis) => {
    const symbol = asSymbol(d);
    if (symbol) symbols.set(symbol, actual.dims[axis]!);
  });
}

/** True when every input of the node is a constant and evaluating it needs no run-time fact. */
export function isFoldable(node: Node): boolean {
  if (node.op === 'constant' || node.op === 'input' || node.regions.length > 0) return false;
  if (operatorOf(node.op).stateful === true) return false;
  return node.inputs.every((v) => v === undefined || v.node.op === 'constant') && node.inputs.length > 0;
}

export function constantOf(value: Value | undefined): Tensor | undefined {
  return constantDataOf(value)?.tensor;
}

/** The constant without its elements, which may have to be read from a file. */
export function constantDataOf(value: Value | undefined): ConstantData | undefined {
  return value?.node.op === 'constant' ? (value.node.attributes['data'] as ConstantData) : undefined;
}
