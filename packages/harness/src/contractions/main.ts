/**
 * node scripts/from-source.mjs packages/harness/src/contractions/main.ts [--seconds 240] [--json times.json] [NAME …]
 * Times the CUDA backend's kernels for the contractions of well-known networks (those of networks whose name contains a
 * NAME; default: all), as many as there is time for, and writes the times: fit.ts makes the model's coefficients of them.
 * At the end it prints our fastest beside the libraries'.
 */

import { Builder } from '@tensorwright/builder';
import { productWorks, type Work } from '@tensorwright/backend-cuda';
import { canonicalJson, type Candidate, loadBackend, type Node, registerBackend } from '@tensorwright/core';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { problems as known } from './generated/problems.js';
import { networkOf, problemIndex } from './network.js';
import type { NamedProblem } from './problem.js';
import { inOrder, someOf } from './sample.js';
import { tableOf } from './table.js';
import type { TimedCandidate, TimedProblem, Times } from './times.js';

/** Problems of one build: kernels of some compile while those of others are timed. */
const atOnce = 12;

interface Offer {
  readonly candidate: Candidate;
  readonly work: Work | undefined;
}

/** Candidates by problem and by what identifies them in a timing cache. */
type Offers = Map<string, Offer>;

const keyOf = (tactic: unknown, parameters: unknown): string => canonicalJson({ tactic, parameters });

async function offerTo(offers: Offers): Promise<void> {
  const backend = await loadBackend('cuda');
  registerBackend({
    ...backend,
    candidates(node: Node): readonly Candidate[] {
      const index = problemIndex(node);
      const works = productWorks(node);
      if (index === undefined || works.length === 0) return backend.candidates(node);
      const workOf = new Map(works.map(({ candidate: c, work }) => [keyOf(c.tactic, c.parameters), work]));
      const others = backend.candidates(node).filter((c) => !workOf.has(keyOf(c.tactic, c.parameters)));
      return someOf([...works.map((w) => w.candidate), ...others]).map((c) => {
        const work = workOf.get(keyOf(c.tactic, c.parameters));
        // Kernels do not look at what they do not know: this says whose times these are.
        const candidate = { ...c, parameters: { ...c.parameters, problem: index } };
        offers.set(keyOf(candidate.tactic, candidate.parameters), { candidate, work });
        return candidate;
      });
    },
  });
}

/** Times of all that was offered, by problem. */
async function time(problems: readonly NamedProblem[], offers: Offers, milliseconds: number): Promise<TimedProblem[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorwright-times-'));
  try {
    await new Builder().build(networkOf(problems), {
      backends: ['cuda', 'cpu', 'reference'],
      optimizationLevel: 5,
      timingCache: folder,
      timeBudgetMs: milliseconds,
      logger: (record) => {
        if (record.level === 'warn') stderr.write(`${record.message}\n`);
      },
    });
    const files = (await readdir(folder, { recursive: true })).filter((f) => f.endsWith('.json'));
    const found = problems.map((): TimedCandidate[] => []);
    for (const file of files) {
      const { times } = JSON.parse(await readFile(join(folder, file), 'utf8')) as { times: Record<string, number> };
      for (const [key, nanoseconds] of Object.entries(times)) {
        const { tactic, parameters } = JSON.parse(key) as { tactic: string; parameters: Record<string, unknown> };
        const offer = offers.get(keyOf(tactic, parameters));
        if (!offer) continue;
        const { problem, ...own } = parameters;
        found[problem as number]!.push({
          tactic,
          parameters: own,
          estimate: offer.candidate.estimate,
          microseconds: nanoseconds / 1000,
          ...(offer.work && { work: offer.work }),
        });
      }
    }
    return problems.map((p, i) => ({
      ...p,
      candidates: found[i]!.sort((a, b) => a.microseconds - b.microseconds),
    }));
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    args: argv.slice(2),
    options: { seconds: { type: 'string', default: '240' }, json: { type: 'string', default: 'times.json' } },
    allowPositionals: true,
  });
  const isWanted = (p: NamedProblem): boolean =>
    positionals.length === 0 || p.of.some((name) => positionals.some((word) => name.includes(word)));
  const list = inOrder(known.filter(isWanted));
  const offers: Offers = new Map();
  await offerTo(offers);
  const end = performance.now() + 1000 * Number(values.seconds);
  const device = (await loadBackend('cuda')).device()?.description ?? 'none';
  const timed: TimedProblem[] = [];
  for (let at = 0; at < list.length && performance.now() < end; at += atOnce) {
    offers.clear();
    timed.push(...(await time(list.slice(at, at + atOnce), offers, end - performance.now())));
    const whole = timed.filter((p) => p.candidates.length > 0);
    const times: Times = { device, left: list.length - whole.length, problems: whole };
    await writeFile(values.json, JSON.stringify(times));
    stdout.write(`${String(whole.length)} of ${String(list.length)} problems\n`);
  }
  stdout.write(`${tableOf(timed.filter((p) => p.candidates.length > 0))}\n`);
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
