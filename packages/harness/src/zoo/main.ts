/** `npm run zoo`: every model of a folder in a process of its own, so that its peak memory is its own. */

import { Command } from 'commander';
import { fork } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DetectionComparison } from './detections.js';
import { failedReport, type ModelJob, type ModelReport, runModel } from './run-model.js';

function inChild(job: ModelJob): Promise<ModelReport> {
  return new Promise((done) => {
    const child = fork(fileURLToPath(import.meta.url), ['--worker'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      done(failedReport(job.name, 'no result after 600 s'));
    }, 600_000);
    child.once('message', (report) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      done(report as ModelReport);
    });
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      done(failedReport(job.name, `the process died: ${signal ?? `exit code ${String(code)}`}`));
    });
    child.send(job);
  });
}

function line(r: ModelReport): string {
  if (r.error !== null) return `${r.name.padEnd(26)} ${r.error.split('\n').slice(0, 2).join(' ').slice(0, 300)}`;
  const worst = r.outputs.length > 0 ? Math.max(...r.outputs.map((o) => o.nrms)).toExponential(1) : '-';
  const ratio = r.peerMs === null ? '' : `peer ${r.peerMs.toFixed(2)} ms, ratio ${(r.ms! / r.peerMs).toFixed(3)}`;
  const device =
    r.deviceMs === null ? '' : `device ${r.deviceMs.toFixed(3)} ms, enqueue ${r.enqueueUs!.toFixed(1)} us, `;
  const sameSet = r.detections && `detections ${setText(r.detections, r.steadiness)}, `;
  const heads = r.heads && `heads ${r.heads.map((h) => h.nrms.toExponential(1)).join(' ')}, `;
  const accuracy = r.accuracy && `${(100 * (r.accuracy.correct / r.accuracy.images)).toFixed(1)} % correct, `;
  const memory = r.lowerBoundBytes! > 0 ? (r.activationBytes! / r.lowerBoundBytes!).toFixed(3) : '-';
  return `${r.name.padEnd(26)} nrms ${worst.padStart(8)}  ${r.ms!.toFixed(2).padStart(9)} ms  ${ratio.padEnd(34)} ${sameSet ?? ''}${heads ?? ''}${accuracy ?? ''}${device}build ${(r.buildMs! / 1000).toFixed(1)} s, load ${r.loadMs!.toFixed(0)} ms, plan ${(r.planBytes! / 1e6).toFixed(1)} MB, peak ${(r.peakBytes / 1e6).toFixed(0)} MB, activations ${memory} of the bound, ${String(r.fallbacks.length)} fallbacks`;
}

function setText(found: DetectionComparison, steadiness: DetectionComparison | null): string {
  if (found.equal) return 'equal';
  const itself = steadiness && `; the peer on inputs changed in the last bit ${String(steadiness.matched)}`;
  return `differ: ${String(found.matched)} of ${String(found.peer)} matched${itself ?? ''}`;
}

async function main(): Promise<void> {
  const program = new Command()
    .argument('<dir>', 'folder of ONNX files')
    .argument('[names...]', 'models; default: all')
    .option('--backends <names>', 'backends in order of preference')
    .option('--precision <names>', 'fp16, bf16 or tf32', '')
    .option('--peer <name>', 'onnxruntime, or none', 'onnxruntime')
    .option('--threads <n>', 'threads of both', '2')
    .option('--level <n>', 'optimization level', '3')
    .option('--tactic-sources <names>', "libraries that tactics may call, or 'none': own kernels only; default: all")
    .option('--timing-cache <folder>', 'where measured times are kept')
    .option('--duration <ms>', 'of the timed runs', '3000')
    .option('--batch <n>', 'extent of symbolic batch axes', '1')
    .option('--sequence <n>', 'extent of symbolic sequence axes', '128')
    .option('--digits <folder>', 'labelled images for the models named digits_…; default: digits in <dir>')
    .option('--layers', 'report times per layer')
    .option('--json <file>', 'write the report here')
    .parse();
  const [dir, ...names] = program.args;
  const o = program.opts<{
    backends?: string;
    precision: string;
    peer: string;
    threads: string;
    level: string;
    tacticSources?: string;
    timingCache?: string;
    duration: string;
    batch: string;
    sequence: string;
    digits?: string;
    layers?: boolean;
    json?: string;
  }>();
  const folder = resolve(dir!);
  const all = readdirSync(folder)
    .filter((f) => f.endsWith('.onnx'))
    .map((f) => f.slice(0, -5))
    .sort();
  const unknown = names.find((n) => !all.includes(n));
  if (unknown !== undefined) throw new Error(`${folder}: no model '${unknown}'; there are ${all.join(', ')}`);
  const digits = resolve(o.digits ?? join(folder, 'digits'));
  const labelled = o.digits !== undefined || existsSync(digits);
  const reports: ModelReport[] = [];
  for (const name of names.length > 0 ? names : all) {
    const report = await inChild({
      name,
      path: join(folder, `${name}.onnx`),
      backends: o.backends?.split(','),
      precision: o.precision.split(',').filter((p) => p !== ''),
      peer: o.peer === 'onnxruntime',
      threads: Number(o.threads),
      level: Number(o.level) as ModelJob['level'],
      tacticSources: o.tacticSources?.split(',').filter((s) => s !== 'none') as ModelJob['tacticSources'],
      timingCache: o.timingCache && resolve(o.timingCache),
      durationMs: Number(o.duration),
      layers: o.layers === true,
      batch: Number(o.batch),
      sequence: Number(o.sequence),
      images: labelled && name.startsWith('digits_') ? digits : undefined,
    });
    reports.push(report);
    process.stdout.write(`${line(report)}\n`);
    // After each: a run that is cut short is not lost.
    if (o.json !== undefined) writeFileSync(o.json, JSON.stringify(reports, null, 1));
    if (report.layers) {
      for (const l of [...report.layers].sort((a, b) => b.us - a.us).slice(0, 25))
        process.stdout.write(
          `    ${l.us.toFixed(1).padStart(10)} us  ${l.kind.padEnd(12)} ${l.tactic.padEnd(30)} ${l.name}\n`,
        );
    }
  }
  const ratios = reports.flatMap((r) => (r.ms !== null && r.peerMs !== null ? [r.ms / r.peerMs] : []));
  if (ratios.length > 0) {
    const geometric = Math.exp(ratios.reduce((s, r) => s + Math.log(r), 0) / ratios.length);
    process.stdout.write(
      `geometric mean of the ratios over ${String(ratios.length)} models: ${geometric.toFixed(3)}; largest ${Math.max(...ratios).toFixed(3)}\n`,
    );
  }
  process.exitCode = reports.some((r) => r.error !== null) ? 5 : 0;
}

if (process.argv[2] === '--worker') {
  process.on('message', (job: ModelJob) => {
    void runModel(job).then((r) => process.send!(r));
  });
} else {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
