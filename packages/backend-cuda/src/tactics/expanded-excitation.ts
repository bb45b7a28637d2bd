/**
 * What expands an image and filters every channel of it in one kernel that sums what it stores, and the excitation by
 * those sums: the image between the two convolutions is never written, and the one after them not read again.
 */

import { type Candidate, type EmitContext, type EmittedStep, type GroupView, mulDims } from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { machineOf } from './contraction/machine.js';
import { clusterSizes, exciteMicroseconds, likely } from './excitation/cost.js';
import {
  exciteLaunch,
  planOf,
  printExcitation,
  printExcite,
  printSums,
  sumBytes,
  sumWidth,
} from './excitation/print.js';
import { excitationOf } from './excitation/problem.js';
import { residualCandidates } from './inverted-residual/candidates.js';
import { printResidual, tilesOf } from './inverted-residual/emit.js';
import { expandedOf } from './inverted-residual/problem.js';
import type { ResidualShape } from './inverted-residual/shape.js';
import { launchMicroseconds } from './operands.js';
import { taken } from './taken.js';

const threads = 512;
/** Sizes of the clusters that excite which are tried with the shape that looks best: it tells little of the others. */
const mostSizes = 2;

export const expandedExcitation: Tactic = {
  name: 'expandedExcitation',
  refuses(group: GroupView): string | undefined {
    if (group.parts.length !== 5) return 'no expanded image that excites';
    const problem = expandedOf(group);
    if (typeof problem === 'string') return problem;
    const excitation = excitationOf(group);
    if (typeof excitation === 'string') return excitation;
    const [, filter, mean, , up] = group.parts;
    const [first, second, ...others] = group.own.regions[0]!.outputs;
    const outputs = first === filter!.outputs[0] && second === up!.outputs[0] && others.length === 0;
    if (!outputs || !mean!.own.inputs.includes(first)) return 'only the image and what excites it are results';
    return residualCandidates(problem).length > 0 ? undefined : 'no tile of the image fits into shared memory';
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const problem = taken(group, expandedOf(group));
    const excitation = taken(group, excitationOf(group));
    const image = problem.expand!.group.anchorInputs[0];
    const sizes = machineOf().clusters ? clusterSizes : [1];
    return residualCandidates(problem)
      .flatMap(({ shape, estimate }, i) => {
        const sums = likely(mulDims(tilesOf(problem, shape), excitation.channels * 4));
        const microseconds = (parts: number): number => exciteMicroseconds(excitation, sums, parts);
        const fastest = [...sizes].sort((a, b) => microseconds(a) - microseconds(b)).slice(0, i === 0 ? mostSizes : 1);
        return fastest.map((parts) => ({
          parameters: { ...shape, parts },
          inputs: group.node.inputs.map((_, input) =>
            input === image ? ('channelsLast' as const) : ('strided' as const),
          ),
          outputs: ['channelsLast', 'channelsLast'] as const,
          stridedOutput: false,
          estimate: estimate + launchMicroseconds + microseconds(parts),
        }));
      })
      .sort((a, b) => a.estimate - b.estimate);
  },
  emit(group: GroupView, { parameters }: Candidate, context: EmitContext): Promise<EmittedStep> {
    const { parts, ...shape } = parameters as unknown as ResidualShape & { readonly parts: number };
    const problem = taken(group, expandedOf(group));
    const excitation = taken(group, excitationOf(group));
    const args = new Arguments();
    const scratch = args.workspace(0, 'f32');
    const rows = tilesOf(problem, shape);
    const expanded = printResidual(group, problem, shape, scratch, context, args);
    const plan = planOf(excitation, { parts, threads }, sumWidth(excitation.channels));
    return launchStep({
      uses: ['inverted_residual', 'excitation'],
      holes: [
        expanded.holes,
        printSums('Sums', scratch, rows, excitation.channels, args),
        printExcitation(excitation, plan, 'Sums', 1, context, args),
      ].join('\n'),
      text: `${expanded.text}${printExcite(plan)}`,
      arguments: args,
      launches: [expanded.launch, exciteLaunch(excitation, plan)],
      workspaceBytes: sumBytes(excitation, rows),
      outputs: 2,
    });
  },
};
