// node file.mjs FILE: one bundled file of tests. The last line is JSON: { passed, failed, skipped }.
import { startTests } from '@vitest/runner';
import { argv, exit, stdout } from 'node:process';
import { pathToFileURL } from 'node:url';
import { config } from './vitest.mjs';

const counts = { passed: 0, failed: 0, skipped: 0 };

function count(task, path) {
  const name = [...path, task.name].join(' > ');
  const errors = task.result?.errors ?? [];
  for (const error of errors) console.log(`${name}: ${String(error.stack ?? error.message)}`);
  if (task.type === 'test')
    counts[task.mode !== 'run' ? 'skipped' : task.result?.state === 'pass' ? 'passed' : 'failed']++;
  // Of a file or a suite itself: it did not load, or a hook failed.
  else if (errors.length > 0) counts.failed++;
  for (const inner of task.tasks ?? []) count(inner, [...path, task.name]);
}

const files = await startTests([argv[2]], {
  config,
  importFile: (file) => import(pathToFileURL(file).href),
});
for (const file of files) count(file, []);
stdout.write(`${JSON.stringify(counts)}\n`, () => exit(counts.failed > 0 ? 1 : 0));
