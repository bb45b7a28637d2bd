/** The sample's library is built as its README says, and computes SwiGLU, wherever it runs. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { main } from '../main.mjs';

const build = mkdtempSync(join(tmpdir(), 'tensorwright-sample-'));
afterAll(() => {
  rmSync(build, { recursive: true });
});

function cmake(...words: string[]): void {
  const { status, stdout, stderr } = spawnSync('cmake', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stdout + stderr);
}

test('computes the gated activation', async () => {
  cmake('-S', join(import.meta.dirname, '..'), '-B', build);
  cmake('--build', build, '--config', 'Release');
  const lines: string[] = [];
  const library = join(build, process.platform === 'win32' ? 'swiglu.dll' : 'swiglu.so');
  const { input, output, dims } = await main({ library, print: (line: string) => void lines.push(line) });
  expect(dims).toEqual([2, 4]);
  output.forEach((v: number, i: number) => {
    const at = Math.floor(i / 4) * 8 + (i % 4);
    const gate = Math.min(input[at]!, 2);
    expect(v).toBeCloseTo((gate / (1 + Math.exp(-gate))) * input[at + 4]!, 5);
  });
  expect(lines).toHaveLength(3);
}, 120_000);
