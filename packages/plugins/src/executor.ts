/** Runs plan steps of plugins by their functions for the processor. */

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
import { type PluginKey, titleOf } from './plugin-key.js';
import type { PluginRegistry } from './registry.js';

interface Prepared {
  readonly node: Node;
  /** The plan's symbols that occur in it. */
  readonly symbols: ReadonlyMap<number, DimSymbol>;
}

export class PluginExecutor implements StepExecutor {
  readonly #registry: PluginRegistry;
  readonly #context: ExecutorContext;
  readonly #prepared = new WeakMap<PlanStep, Prepared>();

  constructor(registry: PluginRegistry, context: ExecutorContext) {
    this.#registry = registry;
    this.#context = context;
  }

  /** @throws ERR_PLUGIN when the plugin is not in the registry, or has no function for the processor */
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
    const known = new Map<DimSymbol, number>();
    for (const [index, symbol] of symbols) {
      const value = options.symbols.get(index);
      if (value !== undefined) known.set(symbol, value);
    }
    return evaluateNode(node, inputs, { symbols: known, ...(options.signal && { signal: options.signal }) });
  }

  #prepare(step: PlanStep): Prepared {
    let prepared = this.#prepared.get(step);
    if (!prepared) this.#prepared.set(step, (prepared = prepareStep(step, this.#registry, this.#context)));
    return prepared;
  }
}

function prepareStep(step: PlanStep, registry: PluginRegistry, context: ExecutorContext): Prepared {
  const key = keyOf(step);
  const plugin = registry.get(key);
  if (!plugin.operator.evaluate)
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${titleOf(key)} has no function for the processor any more`, {
      plugin: titleOf(key),
    });
  const symbols = new Map<number, DimSymbol>();
  const symbolOf = (index: number): DimSymbol => {
    let symbol = symbols.get(index);
    if (!symbol) symbols.set(index, (symbol = createSymbol(`s${String(index)}`)));
    return symbol;
  };
  let node: Node;
  try {
    node = deserializeOperator(JSON.parse(textOf(step, 'node')) as SerializedOperator, {
      symbol: symbolOf,
      constant: (reference) => readConstant(reference, context),
    });
  } catch (cause) {
    throw malformed(step, (cause as Error).message, cause);
  }
  if (node.op !== plugin.operator.name) throw malformed(step, `it is a step of ${node.op}, not of ${titleOf(key)}`);
  if (step.outputs.length !== node.outputs.length)
    throw malformed(step, `plugin ${titleOf(key)} gives ${String(node.outputs.length)} outputs`);
  return { node, symbols };
}

function keyOf(step: PlanStep): PluginKey {
  return { name: textOf(step, 'name'), version: textOf(step, 'version'), namespace: textOf(step, 'namespace') };
}

function textOf(step: PlanStep, name: string): string {
  const text = step.attributes[name];
  if (typeof text !== 'string') throw malformed(step, `attribute '${name}' must be a string`);
  return text;
}

function malformed(step: PlanStep, message: string, cause?: unknown): TensorwrightError {
  const layer = step.layer.name;
  return new TensorwrightError('ERR_INVALID_PLAN', `layer '${layer}': ${message}`, { layer }, { cause });
}
