import { describe, expect, it } from 'vitest';
import { tensorwright } from './support/run-command.js';
import { json, reference, smallFiles } from './support/small-files.js';

const { model: small, plan } = smallFiles();

describe('bench', () => {
  it.each([
    ['a plan', () => plan, []],
    ['a model', () => small, reference],
  ])('measures %s', async (_, path, options) => {
    const { code, stdout } = await tensorwright([
      'bench',
      path(),
      '--json',
      '--duration',
      '0',
      '--warm-up',
      '0',
      '--iterations',
      '7',
      '--streams',
      '2',
      '--percentile',
      '50,99',
      '--layers',
      ...options,
    ]);
    expect(code).toBe(0);
    const report = json(stdout);
    expect(report).toMatchObject({ schemaVersion: 1, command: 'bench', streams: 2, backends: ['reference'] });
    expect(report.runs).toBeGreaterThanOrEqual(7);
    expect(report.throughput).toBeCloseTo((1000 * report.runs) / report.wallMs, 6);
    for (const times of [report.latencyMs, report.computeMs]) {
      expect(Object.keys(times.percentiles)).toEqual(['50', '99']);
      expect(times.min).toBeLessThanOrEqual(times.percentiles['50']);
      expect(times.percentiles['99']).toBeLessThanOrEqual(times.max);
      expect(times.min).toBeGreaterThan(0);
    }
    expect(report.layers.flatMap((l: { origins: string[] }) => l.origins)).toEqual(
      expect.arrayContaining(['first', 'bend', 'second', 'shift']),
    );
  });

  it("runs at the profile's optimum, at given shapes, and at 1", async () => {
    const quick = ['--json', '--duration', '0', '--warm-up', '0', '--iterations', '1'];
    expect(json((await tensorwright(['bench', plan, ...quick])).stdout).shapes).toEqual({ x: [2, 4] });
    expect(json((await tensorwright(['bench', plan, ...quick, '--shapes', 'x:5x4'])).stdout).shapes).toEqual({
      x: [5, 4],
    });
    const assumed = await tensorwright(['bench', small, ...quick, ...reference]);
    expect(json(assumed.stdout).shapes).toEqual({ x: [1, 4] });
    expect(assumed.stderr).toContain('dimensions batch are taken to be 1');
  });

  it('refuses building options for a plan', async () => {
    const { code, stderr } = await tensorwright(['bench', plan, '--bf16']);
    expect(code).toBe(2);
    expect(stderr).toContain('--bf16 is for building');
  });
});
