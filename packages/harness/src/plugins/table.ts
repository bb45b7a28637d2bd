/** The table of times in the stock plugins' documentation. */

import type { FloatType } from './case.js';
import { cases } from './cases/index.js';
import type { DeviceRecord, TimedProblem } from './recorded.js';

export function tableOf({ plugins, measurements }: DeviceRecord): string {
  const rows = plugins.flatMap(({ plugin, timed = [] }) => timed.map((t) => rowOf(plugin, t)));
  const used = new Set(plugins.flatMap(({ timed = [] }) => timed.map((t) => t.measured)));
  const sources = measurements
    .filter((_, i) => used.has(i))
    .map(({ device, commit, date }) => `${device}, commit ${commit}, ${date}`);
  return [
    '| plugin | problem | float32: plugin / standard, µs | float16: plugin / standard, µs |',
    '| --- | --- | --- | --- |',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    `Measured on: ${[...new Set(sources)].join('; ')}.`,
  ].join('\n');
}

function rowOf(plugin: string, timed: TimedProblem): string[] {
  const subject = cases.find((c) => c.name === plugin);
  const why = typeof subject?.standard === 'string' ? ` (${subject.standard})` : '';
  return [subject?.plugin.key.name ?? plugin, `${timed.problem}${why}`, pair(timed, 'float32'), pair(timed, 'float16')];
}

function pair({ times }: TimedProblem, float: FloatType): string {
  const t = times[float];
  if (!t) return '';
  const show = (v: number | undefined): string => (v === undefined ? '' : v < 100 ? v.toFixed(1) : v.toFixed(0));
  if (t.plugin !== undefined && (t.standard !== undefined || t.standardRun === undefined))
    return t.standard === undefined ? show(t.plugin) : `${show(t.plugin)} / ${show(t.standard)}`;
  const whole = [t.pluginRun, t.standardRun].filter((v) => v !== undefined).map(show);
  return `${whole.join(' / ')} a run`;
}
