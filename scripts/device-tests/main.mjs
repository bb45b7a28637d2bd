// node main.mjs [--workers N] [--json FILE] [NAME …]: the bundled tests beside this file, or those whose names hold one
// of the NAMEs, each in a process of its own, on the libraries that the machine has.
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { env, execPath, exit } from 'node:process';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { workers: { type: 'string', default: '4' }, json: { type: 'string' } },
});
const folder = import.meta.dirname;
const timeout = 180_000;

// An empty variable is the system's driver: tests take the emulator where there is none.
const environment = { ...env, TENSORWRIGHT_CUDA_DRIVER: env.TENSORWRIGHT_CUDA_DRIVER ?? '' };

function countsIn(line) {
  try {
    const { passed, failed, skipped } = JSON.parse(line);
    return Number.isInteger(passed + failed + skipped) ? { passed, failed, skipped } : undefined;
  } catch {
    return undefined;
  }
}

function run(name) {
  const options = { env: environment, timeout, killSignal: 'SIGKILL', maxBuffer: 1 << 26 };
  return new Promise((resolve) => {
    execFile(execPath, [join(folder, 'file.mjs'), join(folder, name)], options, (error, stdout, stderr) => {
      const lines = stdout.trimEnd().split('\n');
      const counts = countsIn(lines.at(-1));
      // A process may end badly after its last test.
      if (counts && (!error || counts.failed > 0)) {
        resolve({ name, ...counts, failures: lines.slice(0, -1).join('\n') });
        return;
      }
      const ended = error ? `${String(error)}\n${stderr.slice(-2000)}` : 'it ended before its tests';
      const why = error?.killed ? `still runs after ${String(timeout / 1000)} s` : ended;
      resolve({ name, passed: 0, skipped: 0, ...counts, failed: 1, failures: `${name}: ${why}` });
    });
  });
}

const waiting = readdirSync(folder).filter(
  (f) => f.endsWith('.test.mjs') && (positionals.length === 0 || positionals.some((name) => f.includes(name))),
);
const files = [];
async function work() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const file = await run(name);
    files.push(file);
    if (file.failed > 0) console.log(file.failures);
  }
}
await Promise.all(Array.from({ length: Number(values.workers) }, work));

const sum = (of) => files.reduce((total, file) => total + file[of], 0);
const total = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
if (values.json) writeFileSync(values.json, JSON.stringify({ ...total, files }, null, 2));
console.log(`${files.length} files: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
// Where no device is, all are skipped.
exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
