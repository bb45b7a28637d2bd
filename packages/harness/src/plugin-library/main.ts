/**
 * node scripts/plugin-libraries.mjs FOLDER
 * node scripts/from-source.mjs packages/harness/src/plugin-library/main.ts --libraries FOLDER [--json FILE]
 *   [--backends cuda,cpu] [--no-times] [--pairs 50] [--plays 500]
 * Checks the plugin library of samples/plugin-library, runs the plan of an ONNX model with a plugin in a process without
 * it, and times steps of plugins in a CUDA graph. Default of the folder: the one beside this program, where it was packed
 * with them.
 */

import { PluginLibrary } from '@tensorwright/plugins';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process, { argv, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { answerFlag, checkAnotherProcess } from './another-process.js';
import { checkLibraries } from './checks.js';
import { measureOverhead } from './overhead.js';
import { answerOnePlan } from './run-plan.js';

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: argv.slice(2),
    options: {
      libraries: { type: 'string', default: join(import.meta.dirname, 'libraries') },
      json: { type: 'string', default: '' },
      backends: { type: 'string', default: 'cuda,cpu' },
      times: { type: 'boolean', default: true },
      pairs: { type: 'string', default: '50' },
      plays: { type: 'string', default: '500' },
    },
    allowNegative: true,
  });
  const file = (name: string): string => join(values.libraries, name);
  const backends = values.backends.split(',');
  const checks = [
    ...(await checkLibraries(file('swiglu-1.so'), file('swiglu-2.so'), backends)),
    ...(await checkAnotherProcess(file('snake.onnx'), backends[0]!)),
  ];
  for (const { name, ok, detail } of checks) stdout.write(`${ok ? 'ok   ' : 'WRONG'} ${name}: ${detail}\n`);
  using library = PluginLibrary.load(file('relu.so'));
  const chains = { pairs: Number(values.pairs), plays: Number(values.plays), sizes: [1024, 65_536, 1_048_576] };
  const times = values.times ? await measureOverhead(library.plugins[0]!, chains) : [];
  for (const t of times)
    stdout.write(
      `${t.step.padEnd(12)} ${String(t.elements).padStart(8)} elements, ${String(t.pairs)} pairs: device ` +
        `${t.deviceMicroseconds.toFixed(1)} µs, enqueue ${t.enqueueMicroseconds.toFixed(1)} µs, ` +
        `${t.overheadMicroseconds.toFixed(3)} µs a step over built in\n`,
    );
  const report = JSON.stringify({ checks, times });
  if (values.json) writeFileSync(values.json, report);
  stdout.write(`${report}\n`);
  if (checks.some((c) => !c.ok)) process.exitCode = 1;
}

if (argv.includes(answerFlag)) answerOnePlan();
else
  main().catch((error: unknown) => {
    stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  });
