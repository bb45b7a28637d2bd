/** A kernel that sums what it stores, and behind it the one that excites by those sums, as one step. */

import type { Dim, EmitContext, EmittedStep } from '@tensorwright/core';
import type { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { exciteLaunch, planOf, printExcitation, printExcite, printSums, sumBytes, sumWidth } from './print.js';
import type { ExcitationProblem } from './problem.js';

const threads = 512;

/** What makes the image, in scratch memory that begins with its sums. */
export interface Summing {
  /** The file of the kernel library. */
  readonly uses: string;
  readonly holes: string;
  readonly text: string;
  readonly launch: Launch;
  /** Where its sums lie, as an expression in device code. */
  readonly sums: string;
  /** Rows of sums of an image. */
  readonly rows: Dim;
}

/** @param parts blocks of the cluster that excites an image */
export function emitExcited(
  problem: ExcitationProblem,
  parts: number,
  before: Summing,
  context: EmitContext,
  args: Arguments,
): Promise<EmittedStep> {
  const plan = planOf(problem, { parts, threads }, sumWidth(problem.channels));
  return launchStep({
    uses: [before.uses, 'excitation'],
    holes: [
      before.holes,
      printSums('Sums', before.sums, before.rows, problem.channels, args),
      printExcitation(problem, plan, 'Sums', 1, context, args),
    ].join('\n'),
    text: `${before.text}${printExcite(plan)}`,
    arguments: args,
    launches: [before.launch, exciteLaunch(problem, plan)],
    workspaceBytes: sumBytes(problem, before.rows),
    outputs: 2,
  });
}
