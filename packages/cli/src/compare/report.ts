/** What a run is reported as, for people. */

import { formatError, significant } from '../output/format.js';
import type { Painter } from '../output/style.js';
import { formatTable } from '../output/table.js';
import type { Difference } from './difference.js';
import type { LayerDifference } from './layers.js';
import type { Summary } from './summary.js';

export function firstDivergence(layers: readonly LayerDifference[]): LayerDifference | undefined {
  return layers.find((l) => !l.difference.passed);
}

export function accuracyMessage(
  outputs: readonly Difference[],
  layers: readonly LayerDifference[] | undefined,
  hint: string,
): string {
  const bad = outputs.filter((o) => !o.passed);
  const what =
    bad.length > 0 ? `${bad.length} of ${outputs.length} outputs differ` : 'tensors between the nodes differ';
  return `${what}${layers ? '' : hint}`;
}

export function outputTable(outputs: readonly Difference[], painter: Painter): string {
  const table = formatTable(
    [
      { title: 'output', maxWidth: 48 },
      { title: 'type' },
      { title: 'nrms', align: 'right' },
      { title: 'max error', align: 'right' },
      { title: 'relative', align: 'right' },
      { title: 'not finite', align: 'right' },
      { title: '' },
    ],
    outputs.map((o) => [
      ...differenceCells(o),
      o.passed ? 'passed' : `FAILED${o.reason === undefined ? '' : `: ${o.reason}`}`,
    ]),
  );
  return table.replace(/passed$/gm, painter('green', 'passed')).replace(/FAILED/g, painter('red', 'FAILED'));
}

function differenceCells(d: Difference): string[] {
  return [
    d.name,
    d.type,
    formatError(d.nrms),
    formatError(d.maxAbsolute),
    formatError(d.maxRelative),
    String(d.notFinite),
  ];
}

export function layerReport(
  layers: readonly LayerDifference[],
  outputs: readonly Difference[],
  all: boolean,
  painter: Painter,
): string {
  const first = firstDivergence(layers);
  const worst = [...layers].sort((a, b) => b.difference.nrms - a.difference.nrms).slice(0, 10);
  const shown = all ? layers : layers.filter((l) => worst.includes(l));
  const table = formatTable(
    [
      { title: 'node', maxWidth: 40 },
      { title: 'operator' },
      { title: 'tensor', maxWidth: 40 },
      { title: 'type' },
      { title: 'nrms', align: 'right' },
      { title: 'max error', align: 'right' },
      { title: 'tactic' },
    ],
    shown.map(({ node, operator, difference: d, backend, tactic }) => [
      node,
      operator,
      d.name,
      d.type,
      formatError(d.nrms),
      formatError(d.maxAbsolute),
      backend === undefined ? 'no step' : `${backend} ${tactic ?? ''}`,
    ]),
  );
  const title = all
    ? `${layers.length} tensors between the nodes`
    : `the ${shown.length} largest errors of ${layers.length} tensors between the nodes`;
  return `\n${title}\n\n${table}\n${first ? divergence(first, painter) : agreement(outputs, painter)}`;
}

function divergence(
  { node, operator, difference, backend, tactic, inputs }: LayerDifference,
  painter: Painter,
): string {
  const where = backend === undefined ? 'which has no step of its own' : `on ${backend} by ${tactic ?? ''}`;
  const before =
    inputs.length === 0 ? '' : `  its inputs: ${inputs.map((i) => `'${i.name}' ${formatError(i.nrms)}`).join(', ')}\n`;
  const measure =
    difference.reason ?? `nrms ${formatError(difference.nrms)}, max error ${formatError(difference.maxAbsolute)}`;
  return `${painter('red', 'first divergence:')} tensor '${difference.name}' of node '${node}' (${operator}), ${where}: ${measure}\n${before}`;
}

function agreement(outputs: readonly Difference[], painter: Painter): string {
  if (outputs.every((o) => o.passed)) return `${painter('green', 'no divergence')}\n`;
  return `${painter('yellow', 'no divergence with every tensor kept')}: it arises where nodes are fused; --layers with fewer tensors narrows it down\n`;
}

export function summaryTable(outputs: readonly Summary[]): string {
  return formatTable(
    [
      { title: 'output', maxWidth: 48 },
      { title: 'type' },
      { title: 'min', align: 'right' },
      { title: 'max', align: 'right' },
      { title: 'mean', align: 'right' },
      { title: 'not finite', align: 'right' },
    ],
    outputs.map((o) => [
      o.name,
      o.type,
      ...[o.min, o.max, o.mean].map((x) => (Number.isNaN(x) ? '' : significant(x, 4))),
      String(o.notFinite),
    ]),
  );
}
