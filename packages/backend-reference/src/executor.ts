/** Runs plan steps of this backend: the kernel 'reference' evaluates one operator, 'copy' passes its input on. */

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
} from '@tensorwright/core';

/** undefined: a copy. */
type PreparedStep = PlanOperator | undefined;

export class ReferenceExecutor implements StepExecutor {
  readonly #context: ExecutorContext;
  readonly #prepared = new Map<PlanStep, PreparedStep>();

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
    const operator = this.#prepare(step);
    // Views are the caller's matter: what arrives is dense, what is given back is laid out by the caller.
    return operator ? runOperator(operator, inputs, options) : [inputs[0]!];
  }

  #prepare(step: PlanStep): PreparedStep {
    if (!this.#prepared.has(step)) this.#prepared.set(step, prepareStep(step, this.#context));
    return this.#prepared.get(step);
  }
}

function prepareStep(step: PlanStep, context: ExecutorContext): PreparedStep {
  if (step.kernel === 'reference') return readOperator(step, context);
  if (step.kernel !== 'copy') throw malformedStep(step, `unknown kernel '${step.kernel}'`);
  if (!step.inputs[0] || step.outputs.length !== 1) throw malformedStep(step, 'copy takes one input and one output');
  return undefined;
}
