/** The fastest of our own kernels beside the fastest of each library, one line for each problem. */

import type { TimedProblem } from './times.js';

const libraries = ['cublaslt', 'cudnn'] as const;

export function tableOf(problems: readonly TimedProblem[]): string {
  const head = `${'problem'.padEnd(62)} ${['own', ...libraries].map((n) => n.padStart(10)).join('')}  µs, fastest own kernel`;
  return [head, ...[...problems].sort(byNetwork).map(rowOf)].join('\n');
}

function rowOf(p: TimedProblem): string {
  const best = (isIts: (tactic: string) => boolean): TimedProblem['candidates'][number] | undefined =>
    p.candidates.find((c) => isIts(c.tactic.split('.')[1]!));
  const own = best((family) => !(libraries as readonly string[]).includes(family));
  const times = [own, ...libraries.map((library) => best((family) => family === library))].map((c) =>
    (c?.microseconds.toFixed(1) ?? '-').padStart(10),
  );
  const strides = p.op === 'conv' ? ` /${String((p.attributes['strides'] as readonly number[])[0])}` : '';
  const after = [p.bias && 'bias', p.residual && 'residual', p.activation !== 'none' && p.activation].filter(Boolean);
  const name = `${p.of[0]!}: ${p.x.join('x')} by ${p.w.join('x')}${strides} ${after.join('+')}`;
  return `${name.padEnd(62)} ${times.join('')}  ${own?.tactic ?? ''}`;
}

function byNetwork(a: TimedProblem, b: TimedProblem): number {
  return a.of[0]!.localeCompare(b.of[0]!, 'en', { numeric: true }) || b.x.at(-1)! - a.x.at(-1)!;
}
