/** `npm run conformance`: cases in child processes, so that a crash or a hang costs one case only. */

import { Command } from 'commander';
import { writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { isWorker, runInWorkers, serve } from '../worker-pool.js';
import { type ConformanceCase, conformanceCases } from './data.js';
import type { ConformanceReport, ReportedCase } from './report.js';
import { type CaseResult, runCase } from './run-case.js';

const caseTimeoutMs = 120_000;

interface Job {
  readonly root: string;
  readonly case: ConformanceCase;
  readonly backends: readonly string[];
  readonly level: 0 | 3;
}

async function main(): Promise<void> {
  const program = new Command()
    .argument('<dir>', 'folder with index.json and the cases')
    .argument('[filters...]', 'parts of case paths, or op:NAME')
    .option('--backends <names>', 'backends in order of preference', 'cpu,reference')
    .option('--workers <n>', 'processes at a time; 0: this process runs the cases, which tools that watch it need', '2')
    .option('--level <n>', 'optimization level', '0')
    .option('--json <file>', 'write the report here')
    .parse();
  const [dir, ...filters] = program.args;
  const options = program.opts<{ backends: string; workers: string; level: string; json?: string }>();
  const data = conformanceCases(dir!);
  if (!data) throw new Error(`${dir!}: no index.json`);
  const wanted = data.cases.filter(
    (c) =>
      filters.length === 0 ||
      filters.some((f) => (f.startsWith('op:') ? c.ops.includes(f.slice(3)) : c.path.includes(f))),
  );
  const backends = options.backends.split(',');
  const jobs: Job[] = wanted.map((c) => ({
    root: data.root,
    case: c,
    backends,
    level: options.level === '3' ? 3 : 0,
  }));
  const cases: ReportedCase[] = [];
  const done = (job: Job, r: CaseResult): void => {
    cases.push({
      set: job.case.set,
      case: job.case.case,
      status: r.status,
      reason: r.reason ?? null,
      backends: r.backends,
    });
    if (process.stderr.isTTY) process.stderr.write(`\r${String(cases.length)} / ${String(wanted.length)}`);
  };
  if (options.workers === '0') for (const job of jobs) done(job, await run(job));
  else
    await runInWorkers<Job, CaseResult>(jobs, {
      program: fileURLToPath(import.meta.url),
      workers: Number(options.workers),
      timeoutMs: caseTimeoutMs,
      failed: (reason) => ({ status: 'failed', reason, backends: [] }),
      done,
    });
  const order = new Map(wanted.map((c, i) => [`${c.set}/${c.case}`, i]));
  cases.sort((a, b) => order.get(`${a.set}/${a.case}`)! - order.get(`${b.set}/${b.case}`)!);
  const count = (status: string): number => cases.filter((c) => c.status === status).length;
  const report: ConformanceReport = {
    passed: count('passed'),
    failed: count('failed'),
    unsupported: count('unsupported'),
    cases,
  };
  for (const c of cases) {
    if (c.status !== 'passed')
      process.stdout.write(
        `${c.status.toUpperCase()} ${c.set}/${c.case}: ${(c.reason ?? '').split('\n').slice(0, 3).join(' ').slice(0, 300)}\n`,
      );
  }
  const alone = cases.filter(
    (c) => c.status === 'passed' && c.backends.length === 1 && c.backends[0] === backends[0],
  ).length;
  process.stdout.write(
    `${String(cases.length)} cases on ${backends.join(',')}: ${String(report.passed)} passed, ${String(report.failed)} failed, ${String(report.unsupported)} unsupported; ${String(alone)} wholly on ${backends[0]!}\n`,
  );
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(report, null, 1));
  process.exitCode = report.failed > 0 ? 5 : 0;
}

const run = (job: Job): Promise<CaseResult> => runCase(job.root, job.case, job.backends, job.level);

if (isWorker()) serve(run);
else
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
