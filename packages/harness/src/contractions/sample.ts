/** Which problems and which of their candidates are timed, where there is no time for all. */

import type { Candidate } from '@tensorwright/core';
import type { NamedProblem } from './problem.js';

/** Small batches of these first: they are what tiles are hard to choose for. */
const wanted = /^(vit_b_16|bert_base|resnet50|gpt2|convnext_tiny) [18]\b/;

/** In the order in which they are timed, those like each other far apart. */
export function inOrder(problems: readonly NamedProblem[]): readonly NamedProblem[] {
  const rank = (p: NamedProblem): number => (p.of.some((name) => wanted.test(name)) ? 0 : 1);
  return [...problems]
    .map((problem) => ({ problem, at: rank(problem) + hash(JSON.stringify([problem.x, problem.w])) }))
    .sort((a, b) => a.at - b.at)
    .map(({ problem }) => problem);
}

/** Of each tactic: how many of the best by the model, and how many others, so that its errors show. */
const shares: readonly (readonly [prefix: string, best: number, others: number])[] = [
  ['cuda.hopper', 16, 10],
  ['cuda.contraction.tensor', 7, 6],
  ['cuda.contraction', 4, 2],
  ['cuda.cublaslt', 8, 0],
  ['cuda.cudnn', 8, 0],
  ['', 4, 0],
];

/** At most some fifty. */
export function someOf(candidates: readonly Candidate[]): readonly Candidate[] {
  const byTactic = new Map<string, Candidate[]>();
  for (const c of [...candidates].sort((a, b) => a.estimate - b.estimate))
    byTactic.set(c.tactic, [...(byTactic.get(c.tactic) ?? []), c]);
  return [...byTactic].flatMap(([tactic, list]) => {
    const [, best, others] = shares.find(([prefix]) => tactic.startsWith(prefix))!;
    const rest = list
      .slice(best)
      .map((c) => ({ c, at: hash(JSON.stringify(c.parameters)) }))
      .sort((a, b) => a.at - b.at);
    return [...list.slice(0, best), ...rest.slice(0, others).map(({ c }) => c)];
  });
}

/** FNV-1a, from 0 to 1. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return (h >>> 0) / 2 ** 32;
}
