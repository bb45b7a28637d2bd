/** What measurements leave in the record and on the page. */

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { withTable } from '../src/device-records/page.js';
import { type DeviceRecord, recorded } from '../src/plugins/recorded.js';
import type { Result } from '../src/plugins/result.js';
import { tableOf } from '../src/plugins/table.js';

const read = (path: string): Promise<string> =>
  readFile(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');

const empty: DeviceRecord = { notes: [], measurements: [], plugins: [] };
const when = (commit: string) => ({ date: '2026-01-02', device: 'a device', commit, command: 'run' });
const result = (more: Partial<Result>): Result => ({
  ...{ plugin: 'non-zero', problem: 'small', float: 'float32', part: 'plugin', error: 0 },
  ...more,
});

describe('the table of times', () => {
  it('is that of the record', async () => {
    const record = JSON.parse(await read('bench/results/h200-plugins.json')) as DeviceRecord;
    const page = await read('packages/plugins/docs/stock.md');
    // Formatting makes columns of one width.
    const plain = (text: string): string => text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
    expect(plain(page)).toBe(plain(withTable(page, 'times', tableOf(record))));
  });

  it('compares the device, or whole runs where the device does not run by itself', () => {
    const first = recorded(
      empty,
      [
        result({ problem: 'large', microseconds: 12.34, runMicroseconds: 30 }),
        result({ problem: 'large', part: 'standard', microseconds: 456.7, runMicroseconds: 500 }),
        result({ problem: 'counted', microseconds: 1, runMicroseconds: 20.04 }),
        result({ problem: 'counted', part: 'standard', runMicroseconds: 99.9 }),
      ],
      when('one'),
    );
    const table = tableOf(first);
    expect(table).toMatch(/\| large \([^)]*\) \| 12\.3 \/ 457 \| {2}\|/);
    expect(table).toMatch(/\| counted \([^)]*\) \| 20\.0 \/ 99\.9 a run \| {2}\|/);
    expect(table).toContain('Measured on: a device, commit one, 2026-01-02.');
  });
});

describe('the record', () => {
  const many = [result({ error: 1e-7 }), result({ problem: 'other', error: 1e-6 }), result({ error: null })];
  const first = recorded(empty, many, when('one'));

  it('keeps the worst error of each float', () => {
    expect(first.plugins).toEqual([
      { plugin: 'non-zero', runs: 3, failed: 1, worst: { float32: 1e-6 }, measured: 0, timed: [] },
    ]);
  });

  it('keeps accuracies where a run is about fewer problems, and adds its times', () => {
    const second = recorded(first, [result({ problem: 'large', microseconds: 5 })], when('two'));
    expect(second.plugins[0]).toMatchObject({ runs: 3, measured: 0, timed: [{ problem: 'large', measured: 1 }] });
    expect(second.measurements.map((m) => m.commit)).toEqual(['one', 'two']);
  });

  it('forgets measurements of which nothing is left', () => {
    const second = recorded(first, many.slice(0, 3), when('two'));
    expect(second.measurements.map((m) => m.commit)).toEqual(['two']);
    expect(second.plugins[0]).toMatchObject({ measured: 0 });
  });
});
