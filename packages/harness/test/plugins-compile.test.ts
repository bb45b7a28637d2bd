/** The stock plugins' kernels through the real compiler, where it is installed: no register is spilled. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { Builder } from '@tensorwright/builder';
import { cudaKernelsFor } from '@tensorwright/core';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { cases } from '../src/plugins/cases/index.js';
import { networkOf } from '../src/plugins/network.js';
import { Random } from '../src/plugins/random.js';

const texts: string[] = [];
vi.mock('../../backend-cuda/src/compile/compile.js', () => ({
  compile: (text: string) => {
    texts.push(text);
    return Promise.resolve(new Uint8Array(8));
  },
}));

const compiler = process.env['NVCC'] ?? 'nvcc';
const canRun = spawnSync(compiler, ['--version']).status === 0 && cudaBackend.device() !== undefined;
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-plugins-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What is wrong with a text; empty when nothing is. */
async function complaints(text: string): Promise<string> {
  const file = join(folder, 'kernel.cu');
  await writeFile(file, text);
  const target = ['-gencode', 'arch=compute_90a,code=sm_90a'];
  const options = ['-x', 'cu', '-std=c++17', '-cubin', '-Xptxas', '-v', '-o', `${file}.cubin`, file];
  const { stdout, stderr } = await promisify(execFile)(compiler, [...target, ...options]);
  const suspicious = /[1-9]\d* bytes (stack|spill)/;
  return `${stdout}${stderr}`
    .split('\n')
    .filter((line) => suspicious.test(line))
    .join('\n');
}

describe.skipIf(!canRun)('kernels of plugins compile', { timeout: 120_000 }, () => {
  const timed = cases.flatMap((subject) =>
    subject.problems(new Random(1)).flatMap((p) => (p.timed === true ? [{ subject, p, name: subject.name }] : [])),
  );
  it.each(timed)('$name', async ({ subject, p }) => {
    texts.length = 0;
    const network = networkOf(subject, p, 'float16').toNetwork();
    await new Builder().build(network, { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
    const own = texts.filter((text) => text.includes('namespace plugin'));
    expect(own.length > 0).toBe(cudaKernelsFor(subject.plugin.operator.name).length > 0);
    // Those of the layers that plugins are lowered to, too.
    for (const text of texts) expect(await complaints(text)).toBe('');
  });
});
