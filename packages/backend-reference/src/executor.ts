/** Runs plan steps of this backend: the kernel 'reference' evaluates one serialized operator, 'copy' passes its input on. */

import {
  createSymbol,
  deserializeOperator,
  type DimSymbol,
  evaluateNode,
  type ExecutorContext,
  type Node,
  type PlanStep,
  readConstant,
  type RuntimeValue,
  type SerializedOperator,
  type StepExecutor,
  type StepRunOptions,
  TensorwrightError,
} from '@tensorwright/core';

/** A step ready to run: its operator, and the plan's symbols that occur in it. */
interface PreparedStep {
  readonly node: Node | undefined;
  readonly symbols: ReadonlyMap<number, DimSymbol>;
}

export class ReferenceExecutor implements StepExecutor {
  readonly #context: ExecutorContext;
  readonly #prepared = new WeakMap<PlanStep, PreparedStep>();

  constructor(context: ExecutorContext) {
    this.#context = context;
  }

  prepare(step: PlanStep): void {
    this.#prepare(step);
  }

  async run(
    step: PlanStep,
    inputs: readonly (RuntimeValue | undefined)[],
    options: StepRunOptions,
  ): Promise<readonly RuntimeValue[]> {
    return this.runSync(step, inputs, options);
  }

  runSync(
    step: PlanStep,
    inputs: readonly (RuntimeValue | undefined)[],
    options: StepRunOptions,
  ): readonly RuntimeValue[] {
    const { node, symbols } = this.#prepare(step);
    // Views are the caller's matter: what arrives is dense, what is given back is laid out by the caller.
    if (!node) return [inputs[0]!];
    const known = new Map<DimSymbol, number>();
    for (const [index, symbol] of symbols) {
      const value = options.symbols.get(index);
      if (value !== undefined) known.set(symbol, value);
    }
    return evaluateNode(node, inputs, {
      symbols: known,
      ...(options.signal && { signal: options.signal }),
      ...(options.maxIterations !== undefined && { maxIterations: options.maxIterations }),
    });
  }

  #prepare(step: PlanStep): PreparedStep {
    let prepared = this.#prepared.get(step);
    if (!prepared) this.#prepared.set(step, (prepared = prepareStep(step, this.#context)));
    return prepared;
  }
}

function prepareStep(step: PlanStep, context: ExecutorContext): PreparedStep {
  const symbols = new Map<number, DimSymbol>();
  if (step.kernel === 'copy') {
    if (!step.inputs[0] || step.outputs.length !== 1) throw malformed(step, 'copy takes one input and one output');
    return { node: undefined, symbols };
  }
  if (step.kernel !== 'reference') throw malformed(step, `unknown kernel '${step.kernel}'`);
  const text = step.attributes['node'];
  if (typeof text !== 'string') throw malformed(step, "attribute 'node' must be a string");
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
    throw malformed(step, (cause as Error).message, cause);
  }
  if (step.inputs.length < node.inputs.length || step.outputs.length !== node.outputs.length) {
    throw malformed(step, `${node.op} takes ${node.inputs.length} inputs and gives ${node.outputs.length} outputs`);
  }
  return { node, symbols };
}

function malformed(step: PlanStep, message: string, cause?: unknown): TensorwrightError {
  const layer = step.layer.name;
  return new TensorwrightError('ERR_INVALID_PLAN', `layer '${layer}': ${message}`, { layer }, { cause });
}
