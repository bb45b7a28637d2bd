import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { recordedAccuracy } from '../src/device-records/accuracy.js';
import { type LatencyRecord, type LatencyRow, recordedLatency } from '../src/device-records/latency.js';
import { latencyTable } from '../src/device-records/latency-table.js';
import { withTable } from '../src/device-records/page.js';
import { failedReport, type ModelReport } from '../src/zoo/run-model.js';

const before = { date: 'monday', device: 'some', commit: 'old', command: 'suite' };
const now = { date: 'tuesday', device: 'some', commit: 'new', command: 'suite' };

function report(name: string, more: Partial<ModelReport>): ModelReport {
  return {
    ...failedReport(name, ''),
    error: null,
    ms: 1,
    enqueueUs: 2,
    buildMs: 3000,
    loadMs: 4,
    planBytes: 5e6,
    ...more,
  };
}

describe('latencies', () => {
  const row = (name: string, more: Partial<LatencyRow> = {}): LatencyRow => ({
    ...{ name, batch: 1, sequence: null, deviceMs: 2, wallMs: 3, enqueueUs: 1, buildSeconds: 9, loadMs: 8 },
    ...{ planMegabytes: 7, fallbacks: [], tactics: {}, pytorchMs: { eager: 9, graph: 4, compile: 5 }, ratio: 0.5 },
    ...more,
  });
  const record = {
    ...before,
    rows: [row('a'), row('b', { sequence: 384, ownKernelsMs: 3 }), row('c', { commit: 'older' })],
  };

  it('take the place of older ones, which keep their commit', () => {
    const layers = [
      { name: 'x', tactic: 't', us: 1, waits: 0, timedUs: 2.5, kind: 'k' },
      { name: 'y', tactic: 't', us: 1, waits: 0, timedUs: null, kind: 'k' },
    ];
    const reports = [{ report: report('a', { deviceMs: 1, layers }), batch: 1, sequence: 128, own: false }];
    const { commit, rows } = recordedLatency(record, reports, [], now);
    expect(commit).toBe('new');
    expect(rows.map((r) => r.commit)).toEqual([undefined, 'old', 'older']);
    expect(rows[0]).toMatchObject({
      deviceMs: 1,
      buildSeconds: 3,
      planMegabytes: 5,
      tactics: { t: { steps: 2, us: 2.5 } },
    });
    // Beside PyTorch's times of before.
    expect(rows[0]).toMatchObject({ pytorchMs: { graph: 4 }, ratio: 0.25, pytorchCommit: 'old' });
    expect(rows[1]).toMatchObject({ deviceMs: 2, ownKernelsMs: 3 });
  });

  it('beside those of our kernels alone, and of PyTorch', () => {
    const reports = [
      { report: report('b', { deviceMs: 1.5 }), batch: 1, sequence: 384, own: true },
      { report: report('b', { deviceMs: 1 }), batch: 1, sequence: 128, own: false },
    ];
    const lines = [{ name: 'b', batch: 1, sequence: 384, eager: 3, graph: 8, compile: null }];
    const [, b] = recordedLatency(record, reports, lines, now).rows;
    expect(b).toMatchObject({ deviceMs: 2, commit: 'old', ownKernelsMs: 1.5, ownKernelsCommit: 'new' });
    expect(b).toMatchObject({ pytorchMs: { eager: 3, graph: 8, compile: null }, pytorchCommit: 'new', ratio: 0.667 });
  });
});

it('the table of latencies is that of the record', () => {
  const read = (file: string): string => readFileSync(new URL(`../../../bench/${file}`, import.meta.url), 'utf8');
  const page = read('README.md');
  const table = latencyTable(JSON.parse(read('results/h200-fp16-latency.json')) as LatencyRecord);
  // Formatting makes columns of one width.
  const plain = (text: string): string => text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
  expect(plain(page)).toBe(plain(withTable(page, 'latencies', table)));
});

it('accuracies take the place of older ones; lists in 16 bits have none', () => {
  const old = { name: 'b', nrms: 1, fallbacks: [] };
  const record = { ...before, precisions: { fp32: [old], fp16: [{ ...old, name: 'a' }, old], bf16: [] } };
  const outputs = [
    { name: 'x', nrms: 1e-3 },
    { name: 'y', nrms: 2e-3 },
  ];
  const detections = { equal: false, matched: 0, own: 3, peer: 3, scoreError: 0, overlapError: 0 };
  const heads = [{ name: 'h', nrms: 4e-3 }];
  const fp16 = [
    report('a', { outputs }),
    report('d', { outputs, detections, heads }),
    failedReport('b', 'it does not build'),
  ];
  const { precisions } = recordedAccuracy(record, { fp16 }, now);
  expect(precisions.fp32).toEqual([{ ...old, commit: 'old' }]);
  expect(precisions.fp16).toEqual([
    { name: 'a', nrms: 2e-3, fallbacks: [] },
    { ...old, commit: 'old' },
    { name: 'd', nrms: null, fallbacks: [], detections, heads },
  ]);
  // Measured in two parts.
  const more = recordedAccuracy(recordedAccuracy(record, { fp16 }, now), { fp16: [report('b', { outputs })] }, now);
  expect(more.precisions.fp16.map((r) => r.commit)).toEqual([undefined, undefined, undefined]);
});
