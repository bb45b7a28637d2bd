/** The table of latencies in bench/README.md. */

import type { LatencyRecord, LatencyRow } from './latency.js';

export function latencyTable({ rows, device, date, commit }: LatencyRecord): string {
  return [
    '| network | batch | sequence | ms | PyTorch: eager / CUDA graph / compile, ms | to its best | own kernels alone, ms | enqueue, µs |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${cellsOf(row).join(' | ')} |`),
    '',
    `Float16 on one ${device}; ${date}, commit ${commit} and those that rows of the data name.`,
  ].join('\n');
}

function cellsOf(row: LatencyRow): string[] {
  const { pytorchMs: theirs, ratio, ownKernelsMs: own } = row;
  return [
    row.name,
    String(row.batch),
    row.sequence === null ? '' : String(row.sequence),
    row.deviceMs.toFixed(3),
    theirs ? [theirs.eager, theirs.graph, theirs.compile].map((ms) => ms?.toFixed(2) ?? 'fails').join(' / ') : '',
    ratio?.toFixed(2) ?? '',
    own?.toFixed(3) ?? '',
    row.enqueueUs.toFixed(1),
  ];
}
