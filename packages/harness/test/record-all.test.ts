/** One command's work: a folder of results into the records of a device. */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Recorded, recordAll } from '../src/device-records/record-all.js';
import { resultsFolder } from '../src/device-records/results-folder.js';
import { failedReport } from '../src/zoo/run-model.js';

const root = join(import.meta.dirname, '../../..');
const measurement = { date: 'tuesday', device: 'some GPU', commit: 'new', command: 'suite' };
let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorwright-records-'));
  cpSync(join(root, 'bench/results'), at('records'), { recursive: true });
  cpSync(join(root, 'packages/plugins/docs/stock.md'), at('plugins.md'));
  cpSync(join(root, 'bench/README.md'), at('latencies.md'));
  mkdirSync(at('results'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function result(name: string, content: unknown): void {
  writeFileSync(at('results', name), typeof content === 'string' ? content : JSON.stringify(content));
}

function recordOf(name: string): Record<string, any> {
  return JSON.parse(readFileSync(at('records', `h200-${name}.json`), 'utf8')) as Record<string, unknown>;
}

async function record(): Promise<Recorded & { readonly names: readonly string[] }> {
  const results = await resultsFolder(at('results'));
  const pages = { latencyPage: at('latencies.md'), pluginsPage: at('plugins.md') };
  const job = { results, pytorch: undefined, records: at('records'), ...pages, measurement };
  const recorded = await recordAll(job);
  return { ...recorded, names: recorded.written.map((file) => file.slice(folder.length + 1)) };
}

const report = { ...failedReport('', ''), error: null, ms: 1, deviceMs: 0.5, enqueueUs: 2, buildMs: 3000, loadMs: 4 };

it('writes nothing of an empty folder', async () => {
  expect(await record()).toMatchObject({ written: [], left: [] });
});

describe('latencies', () => {
  it('get rows of their own, and what belongs to none is told', async () => {
    result('latency-newnet-4-128.json', [{ ...report, name: 'newnet', planBytes: 5e6 }]);
    result('latency-bert_base-64-128.json', [{ ...report, name: 'bert_base', planBytes: 5e6 }]);
    result('latency-resnet50-1-128.json', [{ ...failedReport('resnet50', 'out of memory\n  at …'), deviceMs: null }]);
    result('own-othernet-1-128.json', [{ ...report, name: 'othernet' }]);
    const times = { batch: 1, sequence: 128, eager: 3, graph: 2, compile: null };
    result(
      'pytorch.log',
      `warming up\n${JSON.stringify({ ...times, name: 'newnet', batch: 4 })}\n${JSON.stringify({ ...times, name: 'nonet' })}\n`,
    );
    const { names, left } = await record();
    expect(names).toEqual(['records/h200-fp16-latency.json', 'latencies.md']);
    expect(left).toEqual([
      'resnet50, batch 1, sequence 128: out of memory',
      'othernet, batch 1, sequence 128 by our own kernels alone: there is no row that it belongs to',
      'nonet, batch 1, sequence 128 by PyTorch: there is no row that it belongs to',
    ]);
    const { rows, commit } = recordOf('fp16-latency');
    expect(commit).toBe('new');
    expect(rows.slice(-2)).toMatchObject([
      { name: 'bert_base', batch: 64, sequence: 128, deviceMs: 0.5, tactics: {} },
      { name: 'newnet', batch: 4, sequence: null, pytorchMs: { eager: 3, graph: 2, compile: null }, ratio: 0.25 },
    ]);
    expect(readFileSync(at('latencies.md'), 'utf8')).toMatch(
      '| newnet | 4 |  | 0.500 | 3.00 / 2.00 / fails | 0.25 |  | 2.0 |',
    );
    expect(rows[0]).toMatchObject({ name: 'resnet50', commit: expect.not.stringMatching(/^new$/) as string });
  });
});

describe('conformance', () => {
  const log = (tool: string): string =>
    `========= COMPUTE-SANITIZER\n9 cases on cuda,cpu,reference: 8 passed, 1 failed, 0 unsupported; 7 wholly on cuda\n${tool}\n`;

  it('is counted by backends, with what has not passed', async () => {
    const passed = { set: 'node', status: 'passed', reason: null };
    const cases = [
      { ...passed, case: 'a', backends: ['cuda', 'cpu'] },
      { ...passed, case: 'b', backends: ['cuda'] },
      { ...passed, case: 'c', backends: ['cuda'] },
      { ...passed, case: 'd', backends: [] },
      { set: 'node', case: 'e', status: 'failed', reason: 'y[0]: got 1, want 2', backends: ['cuda'] },
    ];
    result('conformance.json', { passed: 4, failed: 1, unsupported: 0, cases });
    result('sanitizer-racecheck.log', log('========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)'));
    const before = recordOf('conformance');
    expect((await record()).names).toEqual(['records/h200-conformance.json']);
    expect(recordOf('conformance')).toEqual({
      ...before,
      ...measurement,
      passed: 4,
      failed: 1,
      unsupported: 0,
      whollyOnCuda: 2,
      passedByBackends: { cuda: 2, 'cuda,cpu': 1, none: 1 },
      sanitizer: {
        memcheck: { ...before['sanitizer'].memcheck, commit: before['commit'] },
        racecheck: { cases: 9, whollyOnCuda: 7, passed: 8, errors: 2 },
        synccheck: { ...before['sanitizer'].synccheck, commit: before['commit'] },
      },
      notPassed: [{ set: 'node', case: 'e', status: 'failed', message: 'y[0]: got 1, want 2' }],
    });
  });

  it('stays where only the sanitizer has run; a log without its summary is refused', async () => {
    const before = recordOf('conformance');
    result('sanitizer-memcheck.log', log('========= ERROR SUMMARY: 1 error'));
    await record();
    const memcheck = { cases: 9, whollyOnCuda: 7, passed: 8, errors: 1, commit: 'new' };
    expect(recordOf('conformance')).toEqual({ ...before, sanitizer: { ...before['sanitizer'], memcheck } });
    result('sanitizer-memcheck.log', log(''));
    await expect(record()).rejects.toThrow('sanitizer-memcheck.log has no summary');
  });
});

it('random problems are summed up by families', async () => {
  const job = { family: 'softmax', seed: 12, float: 'float16', isDynamic: false, backend: 'cuda', candidates: 6 };
  const run = (error: number | null, ...tactics: string[]): object => ({ error, tactics: ['transfer', ...tactics] });
  result('kernels.json', [
    { ...job, problem: 'p', runs: [run(1.234e-3, 'cuda.softmax'), run(2e-4, 'cuda.map', 'copy')] },
    { ...job, seed: 11, float: 'float32', problem: 'q', runs: [run(3e-5, 'cuda.softmax'), run(null)] },
    { ...job, family: 'gather', seed: 13, problem: 'r', runs: [run(0, 'cuda.gather')] },
  ]);
  await record();
  expect(recordOf('kernels')).toMatchObject({
    ...measurement,
    problems: 3,
    runs: 5,
    wrong: 2,
    seeds: [11, 13],
    families: [
      { family: 'gather', problems: 1, runs: 1, worst: { float16: 0 }, tactics: ['cuda.gather'] },
      {
        family: 'softmax',
        problems: 2,
        runs: 4,
        worst: { float16: 0.0012, float32: 3e-5 },
        tactics: ['cuda.map', 'cuda.softmax'],
      },
    ],
  });
});

it('builds stand beside those with what they have left', async () => {
  const built = (name: string, buildMs: number): object[] => [{ ...report, name, buildMs }];
  const before = recordOf('builds');
  result('cold-newnet-1-128.json', built('newnet', 12_345));
  result('cached-newnet-1-128.json', built('newnet', 2600));
  result('cold-newnet-8-128.json', built('newnet', 500));
  expect((await record()).names).toEqual(['records/h200-builds.json']);
  expect(recordOf('builds')).toMatchObject({
    ...measurement,
    rows: [
      ...before['rows'].map((row: object) => ({ commit: before['commit'] as string, ...row })),
      { name: 'newnet', batch: 1, coldSeconds: 12.3, cachedSeconds: 2.6 },
      { name: 'newnet', batch: 8, coldSeconds: 0.5, cachedSeconds: null },
    ],
  });
});

it('tests are counted by files, with what failed', async () => {
  const file = { passed: 3, failed: 0, skipped: 1 };
  result('tests.json', {
    passed: 5,
    failed: 1,
    skipped: 2,
    files: [
      { name: 'plugins-epilogue.test.mjs', passed: 2, failed: 1, skipped: 1, failures: 'a > b: not 2' },
      { name: 'backend-cuda-stem.test.mjs', ...file, failures: '' },
    ],
  });
  await record();
  expect(recordOf('tests')).toMatchObject({
    ...measurement,
    passed: 5,
    failed: 1,
    skipped: 2,
    files: [
      { name: 'backend-cuda-stem', ...file },
      { name: 'plugins-epilogue', passed: 2, failed: 1, skipped: 1, failures: 'a > b: not 2' },
    ],
  });
});

it('plans with plugins: checks without places of this machine, and times', async () => {
  const times = [
    {
      step: 'library',
      elements: 4,
      pairs: 9,
      deviceMicroseconds: 1.23456,
      enqueueMicroseconds: 2,
      overheadMicroseconds: 0.00049,
    },
  ];
  const checks = [
    { name: 'closed', ok: true, detail: '/some/where/a.so' },
    { name: 'formula', ok: false, detail: 'error 1' },
  ];
  result('plugin-library.json', { checks, times });
  await record();
  expect(recordOf('plugin-library')).toMatchObject({
    ...measurement,
    notes: [expect.stringContaining('chains of 9 pairs')],
    checks: [{ name: 'closed', ok: true, detail: 'a.so' }, checks[1]],
    times: [{ deviceMicroseconds: 1.235, enqueueMicroseconds: 2, overheadMicroseconds: 0 }],
  });
});

describe('streams and soak', () => {
  const bench = (runs: number): string =>
    [
      `throughput  ${String(runs)} runs/s`,
      'compute     min 9 ms, mean 9 ms',
      'device      min 0.1885 ms, max 0.1940 ms, mean 0.1915 ms, 99 % 0.1937 ms',
      'enqueue     min 0.001810 ms, max 0.003404 ms, mean 0.002266 ms, 99 % 0.002858 ms',
    ].join('\n');
  const memory = { afterClose: { residentMegabytes: 7, device: { ownBytes: 0, usedBytes: 9 } } };
  const counts = { runs: 10000, contexts: 200, builds: 0, workers: 1 };
  const soak = `${JSON.stringify({ model: '/z/net.onnx', counts, timerDelayMs: {}, memory }, null, 1)}\nthe device's memory grew\n`;
  const soaked = { notes: ['net, 10,000 runs, 200 contexts, 0 builds, 1 workers'], memory };

  it('are read from their logs', async () => {
    result('streams-1.log', bench(3202));
    result('streams-4.log', bench(10660));
    result('soak.log', soak);
    await record();
    expect(recordOf('streams-soak')).toMatchObject({
      ...measurement,
      runsPerSecond: { '1': 3202, '4': 10660 },
      deviceMilliseconds: 0.1915,
      enqueueMicroseconds: { mean: 2.266, '99 %': 2.858 },
      soak: soaked,
    });
  });

  it('keep what was not measured, with its commit', async () => {
    const before = recordOf('streams-soak');
    result('soak.log', soak);
    await record();
    expect(recordOf('streams-soak')).toEqual({ ...before, soak: { ...soaked, commit: 'new' } });
    rmSync(at('results/soak.log'));
    result('streams-1.log', 'killed');
    await expect(record()).rejects.toThrow('a log of the stage streams has no line like');
    rmSync(at('results/streams-1.log'));
    result('soak.log', 'killed');
    expect(await record()).toMatchObject({ written: [], left: ['soak: its log has no report'] });
  });
});

it('devices are recorded where there are several', async () => {
  const one = { devices: 1, different: [0], errors: [5.717e-4], runsPerSecond: { alone: [2616.4] }, left: [0] };
  result('devices.json', one);
  expect(await record()).toMatchObject({ written: [], left: [expect.stringMatching(/^devices: /)] });
  const runsPerSecond = { alone: [2616.4, 2], together: 5000.6 };
  result('devices.json', {
    ...one,
    devices: 2,
    different: [0, 0],
    errors: [0, 5.717e-4],
    refused: [true, true],
    runsPerSecond,
  });
  await record();
  expect(recordOf('devices')).toMatchObject({
    ...measurement,
    device: '2 x some GPU',
    errors: [0, 5.7e-4],
    refused: [true, true],
    runsPerSecond: { alone: [2616, 2], together: 5001 },
  });
});

it('stock plugins, and the table of their times', async () => {
  const problem = { plugin: 'EfficientNMS_TRT', problem: 'a new one', float: 'float16', part: 'plugin', error: 0 };
  result('plugins.json', [{ ...problem, microseconds: 12.34 }]);
  expect((await record()).names).toEqual(['records/h200-plugins.json', 'plugins.md']);
  expect(recordOf('plugins')['measurements']).toContainEqual(measurement);
  expect(readFileSync(at('plugins.md'), 'utf8')).toMatch(/a new one .*12\.3/);
});

it('files that are no JSON are named', async () => {
  result('kernels.json', '[{');
  await expect(record()).rejects.toThrow(/results\/kernels\.json: /);
});
