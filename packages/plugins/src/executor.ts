/** Runs plan steps of plugins by their functions for the processor. */

import {
  type ExecutorContext,
  malformedStep,
  type PlanOperator,
  type PlanStep,
  readOperator,
  runOperator,
  type RuntimeValue,
  type StepExecutor,
  type StepRunOptions,
  TensorwrightError,
} from '@tensorwright/core';
import type { PluginRegistry } from './registry.js';

export class PluginExecutor implements StepExecutor {
  readonly #registry: PluginRegistry;
  readonly #context: ExecutorContext;
  readonly #prepared = new Map<PlanStep, PlanOperator>();

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
    return runOperator(this.#prepare(step), inputs, options);
  }

  #prepare(step: PlanStep): PlanOperator {
    let prepared = this.#prepared.get(step);
    if (!prepared) this.#prepared.set(step, (prepared = prepareStep(step, this.#registry, this.#context)));
    return prepared;
  }
}

/** The plugin first: without it the operator is not there to be read. */
function prepareStep(step: PlanStep, registry: PluginRegistry, context: ExecutorContext): PlanOperator {
  const [name, version, namespace] = ['name', 'version', 'namespace'].map((part) => textOf(step, part));
  const { title, operator } = registry.get({ name: name!, version: version!, namespace: namespace! });
  if (!operator.evaluate)
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title} has no function for the processor any more`, {
      plugin: title,
    });
  const prepared = readOperator(step, context);
  if (prepared.node.op !== operator.name)
    throw malformedStep(step, `it is a step of ${prepared.node.op}, not of ${title}`);
  return prepared;
}

function textOf(step: PlanStep, name: string): string {
  const text = step.attributes[name];
  if (typeof text !== 'string') throw malformedStep(step, `attribute '${name}' must be a string`);
  return text;
}
