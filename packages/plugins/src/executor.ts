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
  Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { pluginOfOperator } from './defined.js';
import { nameOf } from './names.js';
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
    const prepared = this.#prepare(step);
    return options.debug === true ? runWatched(prepared, inputs, options) : runOperator(prepared, inputs, options);
  }

  #prepare(step: PlanStep): PlanOperator {
    let prepared = this.#prepared.get(step);
    if (!prepared) this.#prepared.set(step, (prepared = prepareStep(step, this.#registry, this.#context)));
    return prepared;
  }
}

/** With inputs of its own, which it must leave as they are: others may be memory that more than these tensors lie in. */
function runWatched(
  prepared: PlanOperator,
  inputs: readonly (RuntimeValue | undefined)[],
  options: StepRunOptions,
): readonly RuntimeValue[] {
  const copies = inputs.map((v) => (v instanceof Tensor && v.dtype !== 'string' ? copyOf(v) : v));
  const results = runOperator(prepared, copies, options);
  const { title, inputs: names } = pluginOfOperator(prepared.node.op)!;
  inputs.forEach((v, i) => {
    const copy = copies[i];
    if (!(v instanceof Tensor) || !(copy instanceof Tensor) || v === copy) return;
    if (Buffer.compare(bytesOf(v), bytesOf(copy)) === 0) return;
    const input = nameOf(names[i]!);
    throw new TensorwrightError(
      'ERR_PLUGIN',
      `plugin ${title}: its function for the processor changes its input '${input}'`,
      { plugin: title, input },
    );
  });
  return results;
}

function copyOf(t: Tensor): Tensor {
  return new Tensor(t.dtype, (t.data as Float32Array).slice(), t.dims);
}

function bytesOf({ data }: Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = data as Float32Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
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
