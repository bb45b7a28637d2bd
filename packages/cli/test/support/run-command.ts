/** Runs a command line in this process, as `main.ts` would. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommandLine } from '../../src/program.js';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function tensorwright(
  args: readonly string[],
  options: { readonly signal?: AbortSignal; readonly env?: Record<string, string> } = {},
): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  const code = await runCommandLine(args, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    env: options.env ?? {},
    signal: options.signal ?? new AbortController().signal,
    self: [],
  });
  return { code, stdout, stderr };
}

/** A folder that is gone after the tests of the file. */
export function temporaryFolder(afterAll: (remove: () => void) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'tensorwright-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The trained classifier of the quick start. */
export const digits: string = join(import.meta.dirname, '../../../../samples/quickstart/data/digits_resnet.onnx');
