import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleTests, deviceTests } from '../../../scripts/device-tests/bundle.mjs';

const folder = join(import.meta.dirname, `../../../.cache/device-tests-${String(process.pid)}`);
const files = {
  good: `it.each([1, 2])('passes', (x) => { expect({ x: [x, 'text'] }).toEqual({ x: [expect.any(Number), expect.stringMatching('^t')] }); });
         it.skip('is left out', () => {});`,
  bad: `describe('a suite', () => {
          it('fails', () => { expect([1]).toEqual([2]); });
          it('rejects', async () => { await expect(Promise.resolve(1)).rejects.toThrow(); });
          it('passes', async () => { await expect(Promise.reject(new Error('so'))).rejects.toThrow('so'); });
        });`,
  broken: `throw new Error('does not load');`,
  gone: `it('ends the process', () => { process.exit(0); });`,
  crash: `it('passes', () => { process.on('exit', () => process.abort()); });`,
  odd: `it('prints a number', () => { console.log(7); process.exit(0); });`,
  skipped: `it.skip('is left out', () => {});`,
};

interface Report {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly files: readonly { readonly name: string; readonly failures: string }[];
}

describe('bundled tests', () => {
  beforeAll(async () => {
    mkdirSync(folder, { recursive: true });
    const tests: Record<string, string> = {};
    for (const [name, source] of Object.entries(files)) {
      const file = join(folder, `${name}.ts`);
      writeFileSync(file, `import { describe, expect, it } from 'vitest';\n${source}\n`);
      tests[`${name}.test`] = file;
    }
    await bundleTests(join(folder, 'bundle'), tests);
  }, 60_000);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const run = async (...names: readonly string[]): Promise<Report & { readonly status: number }> => {
    const json = join(folder, 'report.json');
    const status = await promisify(execFile)(process.execPath, [
      join(folder, 'bundle/main.mjs'),
      '--json',
      json,
      ...names,
    ]).then(
      () => 0,
      (error: unknown) => (error as { code: number }).code,
    );
    return { ...(JSON.parse(readFileSync(json, 'utf8')) as Report), status };
  };

  it('count what passes', async () => {
    expect(await run('good')).toMatchObject({ passed: 2, failed: 0, skipped: 1, status: 0 });
  }, 60_000);

  it('count and tell what fails, does not load, and ends the process', async () => {
    const { files: told, ...counts } = await run();
    expect(counts).toEqual({ passed: 4, failed: 6, skipped: 2, status: 1 });
    const failures = Object.fromEntries(told.map(({ name, failures: text }) => [name, text]));
    expect(failures['bad.test.mjs']).toMatch(
      /a suite > fails: AssertionError: expected \[ 1 \] to deeply equal \[ 2 \]/,
    );
    expect(failures['broken.test.mjs']).toMatch('does not load');
    for (const name of ['gone', 'crash', 'odd']) expect(failures[`${name}.test.mjs`]).toMatch(`${name}.test.mjs: `);
  }, 60_000);

  it('fail where none has run', async () => {
    expect(await run('skipped')).toMatchObject({ passed: 0, failed: 0, skipped: 1, status: 1 });
  }, 60_000);

  it('are those of packages that use a device', () => {
    const names = Object.keys(deviceTests());
    expect(names).toEqual(expect.arrayContaining(['backend-cuda-attention.test', 'plugins-epilogue.test']));
    expect(names).not.toContain('backend-cuda-compile.test');
  });
});
