import { describe, expect, it } from 'vitest';
import { statistics } from '../src/bench/statistics.js';
import { formatBytes, formatMilliseconds } from '../src/output/format.js';
import { ProgressBar } from '../src/output/progress-bar.js';
import { Reporter } from '../src/output/reporter.js';
import { paint } from '../src/output/style.js';
import { formatTable } from '../src/output/table.js';

function stream(isTTY: boolean): { write(text: string): void; isTTY: boolean; columns: number; text: string } {
  return {
    isTTY,
    columns: 80,
    text: '',
    write(text) {
      this.text += text;
    },
  };
}

describe('the progress bar', () => {
  it('prints a line per phase and per 10 % where nobody watches', () => {
    const out = stream(false);
    const bar = new ProgressBar(out, 'building');
    bar.update({ phase: 'import', done: 0, total: 1 });
    bar.update({ phase: 'import', done: 1, total: 1 });
    for (let done = 0; done <= 100; done++)
      bar.update({ phase: 'choose', done, total: 100, estimateMs: (100 - done) * 100 });
    const lines = out.text.trimEnd().split('\n');
    expect(lines).toHaveLength(12);
    expect(lines.slice(0, 3)).toEqual([
      'building: import',
      'building: choose 0/100, 10 s left',
      'building: choose 10/100, 9 s left',
    ]);
    expect(lines.at(-1)).toBe('building: choose 100/100');
  });

  it('prints phases that come by turns once', () => {
    const out = stream(false);
    const bar = new ProgressBar(out, 'building');
    for (const phase of ['canonicalise', 'numbers', 'canonicalise', 'numbers', 'group'])
      bar.update({ phase, done: 0, total: 1 });
    expect(out.text).toBe('building: canonicalise\nbuilding: numbers\nbuilding: group\n');
  });

  it('redraws one line on a terminal, not too often, and leaves nothing behind', () => {
    const out = stream(true);
    let now = 0;
    const bar = new ProgressBar(out, 'building', () => now);
    for (let done = 0; done < 1000; done++) {
      now++;
      bar.update({ phase: 'choose', done, total: 1000 });
    }
    const drawn = out.text.split('\r').length - 1;
    expect(drawn).toBeGreaterThan(8);
    expect(drawn).toBeLessThan(20);
    expect(out.text).not.toContain('\n');
    bar.clear();
    expect(out.text.endsWith('\r\x1b[K')).toBe(true);
  });

  it('is wiped before a note is written', async () => {
    const out = stream(true);
    const reporter = new Reporter(
      { stdout: out, stderr: out, env: {}, signal: new AbortController().signal, self: [] },
      {},
    );
    await reporter.progress('building', async (update) => {
      update({ phase: 'import', done: 0, total: 1 });
      reporter.note('a note');
    });
    expect(out.text).toMatch(/import\r\x1b\[Ka note\n$/); // eslint-disable-line no-control-regex
  });
});

describe('the reporter', () => {
  it.each([
    [{ quiet: true }, ''],
    [{}, 'warning: w\n[s] e\n'],
    [{ verbose: 1 }, 'warning: w\n[s] e\n[s] i\n'],
    [{ verbose: 2 }, 'warning: w\n[s] e\n[s] i\n[s] d {"a":1}\n'],
  ])('with %j', (options, expected) => {
    const out = stream(false);
    const { logger } = new Reporter(
      { stdout: out, stderr: out, env: {}, signal: new AbortController().signal, self: [] },
      options,
    );
    logger({ level: 'warn', scope: 's', message: 'w' });
    logger({ level: 'error', scope: 's', message: 'e' });
    logger({ level: 'info', scope: 's', message: 'i' });
    logger({ level: 'debug', scope: 's', message: 'd', data: { a: 1 } });
    expect(out.text).toBe(expected);
  });
});

describe('colour', () => {
  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [false, { FORCE_COLOR: '1' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
    [true, { TERM: 'dumb' }, false],
  ])('terminal %s, environment %j: %s', (isTTY, env, coloured) => {
    expect(paint(stream(isTTY), env)('red', 'x')).toBe(coloured ? '\x1b[31mx\x1b[0m' : 'x');
  });
});

describe('statistics', () => {
  it('takes percentiles by nearest rank', () => {
    const times = Array.from({ length: 200 }, (_, i) => 200 - i);
    expect(statistics(times, [50, 90, 99, 99.9, 100])).toEqual({
      min: 1,
      max: 200,
      mean: 100.5,
      median: 100.5,
      percentiles: { 50: 100, 90: 180, 99: 198, 99.9: 200, 100: 200 },
    });
    expect(statistics([7], [50, 1])).toEqual({ min: 7, max: 7, mean: 7, median: 7, percentiles: { 50: 7, 1: 7 } });
    expect(() => statistics([], [50])).toThrow(RangeError);
  });
});

describe('formats', () => {
  it('writes sizes and times', () => {
    expect([0, 999, 1000, 1_234_567, 999_600].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.00 kB',
      '1.23 MB',
      '1.00 MB',
    ]);
    expect([0.1234567, 12.3456, 1000, 1234, 125_000].map(formatMilliseconds)).toEqual([
      '0.1235 ms',
      '12.35 ms',
      '1 s',
      '1.23 s',
      '2 min 5 s',
    ]);
  });

  it('aligns tables and cuts long cells in the middle', () => {
    const table = formatTable(
      [
        { title: 'name', maxWidth: 7 },
        { title: 'n', align: 'right' },
      ],
      [
        ['a', '1'],
        ['abcdefghij', '100'],
      ],
    );
    expect(table).toBe('name       n\na          1\nabc…hij  100\n');
  });
});
