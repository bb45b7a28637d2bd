import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasCompiler, LibraryFolder } from '../../plugins/test/support/compile-library.js';
import { type Outcome, temporaryFolder } from './support/run-command.js';
import { smallModel } from './support/small-model.js';

const root = join(import.meta.dirname, '../../..');
const folder = temporaryFolder(afterAll);
// Inside the repository, so that packages outside the bundle are found.
const program = join(root, '.cache', `cli-test-${process.pid}`, 'program.mjs');
const small = join(folder, 'small.onnx');

beforeAll(async () => {
  mkdirSync(dirname(program), { recursive: true });
  writeFileSync(small, smallModel());
  await build({
    entryPoints: [join(import.meta.dirname, '../src/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@tensorwright/source'],
    ignoreAnnotations: true,
    external: ['onnxruntime-node', '@tensorwright/backend-cuda', '*.node'],
    inject: [join(root, 'scripts/bundled-backends.ts')],
    banner: {
      js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
    },
    outfile: program,
    logLevel: 'error',
  });
}, 60_000);

afterAll(() => rmSync(dirname(program), { recursive: true, force: true }));

interface Running {
  readonly outcome: Promise<Outcome>;
  /** Resolves when stderr has this text. */
  told(text: string): Promise<void>;
  interrupt(): void;
}

function start(args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let stdout = '';
  let stderr = '';
  const waiting: (() => void)[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    waiting.forEach((check) => check());
  });
  return {
    outcome: new Promise((resolve) => child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr }))),
    told: (text) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (stderr.includes(text)) resolve();
        };
        waiting.push(check);
        check();
      }),
    interrupt: () => child.kill('SIGINT'),
  };
}

describe('the program', () => {
  it('writes results to stdout and the rest to stderr', async () => {
    const { code, stdout, stderr } = await start([
      'run',
      small,
      '--backends',
      'reference',
      '--against',
      'reference',
      '--json',
    ]).outcome;
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ schemaVersion: 1, command: 'run', passed: true });
    expect(stderr).toContain('building: ');
  });

  it('ends with code 130 when it is interrupted, having closed what it had open', async () => {
    const running = start(['bench', small, '--backends', 'reference', '--duration', '120s', '-v']);
    await running.told("loaded 'small'");
    running.interrupt();
    const { code, stdout, stderr } = await running.outcome;
    expect(code).toBe(130);
    expect(stdout).toBe('');
    expect(stderr.trimEnd().split('\n').at(-1)).toBe('interrupted');
  });

  it.skipIf(!hasCompiler)('has its stock plugins and loads others when it is one file', async () => {
    const libraries = new LibraryFolder();
    try {
      const library = libraries.compile('mine.so', join(root, 'templates/plugin-cmake/my_plugin.cpp'));
      const { code, stdout } = await start(['plugins', '--plugins', library, '--json'], {
        TENSORWRIGHT_NATIVE_PATH: join(root, 'native/build/Release/tensorwright.node'),
      }).outcome;
      expect(code).toBe(0);
      const { plugins } = JSON.parse(stdout) as { plugins: { name: string; from: string }[] };
      expect(new Map(plugins.map((p) => [p.name, p.from]))).toEqual(
        new Map([...new Map(plugins.map((p) => [p.name, 'stock'])), ['MySoftSign', library]]),
      );
      expect(plugins.length).toBeGreaterThan(20);
    } finally {
      libraries.remove();
    }
  });

  it('checks the machine, and survives an addon that does not load', async () => {
    const missing = join(folder, 'missing.node');
    const { code, stdout } = await start(['doctor', '--json'], { TENSORWRIGHT_NATIVE_PATH: missing }).outcome;
    expect(code).toBe(4);
    const { healthy, checks } = JSON.parse(stdout) as {
      healthy: boolean;
      checks: { name: string; status: string; text: string; data?: unknown }[];
    };
    expect(healthy).toBe(false);
    const byName = new Map(checks.map((c) => [c.name, c]));
    expect(byName.get('native addon')).toMatchObject({ status: 'failed' });
    expect(byName.get('native addon')!.text).toContain(missing);
    expect(byName.get('backend cpu')).toMatchObject({ status: 'note' });
    expect(byName.get('backend reference')).toMatchObject({ status: 'ok' });
    expect(byName.get('node')).toMatchObject({ status: 'ok', data: { version: process.version } });
    expect(byName.get('onnxruntime-node')!.text).toMatch(/^\d/);
  });

  it('ends with code 4 where the CPU backend is asked for and cannot run', async () => {
    const { code, stderr } = await start(['build', small, '-o', join(folder, 'p'), '--backends', 'cpu'], {
      TENSORWRIGHT_NATIVE_PATH: join(folder, 'missing.node'),
    }).outcome;
    expect(code).toBe(4);
    expect(stderr).toContain('ERR_BACKEND_UNAVAILABLE');
    expect(stderr).toContain('npm install @tensorwright/native-');
  });

  it('warns where nobody has chosen a backend and the addon is missing', async () => {
    const { code, stderr } = await start(['build', small, '-o', join(folder, 'slow.plan')], {
      TENSORWRIGHT_NATIVE_PATH: join(folder, 'missing.node'),
    }).outcome;
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: without the backend 'cpu' .* slow: .*could not be loaded/);
  });
}, 60_000);
