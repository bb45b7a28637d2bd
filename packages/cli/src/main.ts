#!/usr/bin/env node
/** The `tensorwright` program. */

import { fileURLToPath } from 'node:url';
import { exitCodes } from './exit-codes.js';
import { runCommandLine } from './program.js';

const interruption = new AbortController();
process.on('SIGINT', () => {
  // The first interrupt ends the work in an orderly way, the second at once.
  if (interruption.signal.aborted) process.exit(exitCodes.interrupted);
  interruption.abort();
});
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `tensorwright … | head`: nobody reads any further.
  if (error.code !== 'EPIPE') throw error;
  process.exit(exitCodes.ok);
});

void runCommandLine(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interruption.signal,
  self: [process.execPath, fileURLToPath(import.meta.url)],
}).then((code) => {
  process.exitCode = code;
});
