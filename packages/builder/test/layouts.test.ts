/** How layouts are weighed: bytes that are reordered against what a layout's tactics are foreseen to take. */

import { type Candidate, GraphBuilder, type Layout, tensorType } from '@tensorwright/core';
import { expect, it } from 'vitest';
import { chooseLayouts } from '../src/choose/layouts.js';

const candidate = (layout: Layout, estimate: number): Candidate => ({
  ...{ tactic: layout, producer: '', parameters: {}, stridedOutput: false },
  ...{ inputs: [layout], outputs: [layout], estimate },
});

/** Of a node between tensors of 8192 bytes in rows: its tactics' microseconds by layout. */
function layoutOf(
  estimates: Readonly<Partial<Record<Layout, number>>>,
  bytesPerMicrosecond?: number,
  others: readonly Candidate[] = [],
): Layout {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', [1, 8, 16, 16]));
  const y = b.op('relu', [x]);
  const offered = Object.entries(estimates).map(([layout, estimate]) => candidate(layout as Layout, estimate));
  const options = new Map([[y.node, [...offered, ...others]]]);
  const labels = chooseLayouts({ inputs: [x], outputs: [y] }, options, () => bytesPerMicrosecond);
  return labels.get(y.node)!;
}

it('keeps the layout of the neighbours where estimates only rank the candidates of a layout', () => {
  expect(layoutOf({ rows: 100, channelsLast: 1 })).toBe('rows');
  expect(layoutOf({ channelsLast: 1, rows: 100 })).toBe('rows');
});

it('takes another one where its tactics gain more than reordering takes', () => {
  // Two tensors, each 8.192 microseconds.
  expect(layoutOf({ rows: 20, channelsLast: 3 }, 1000)).toBe('channelsLast');
  expect(layoutOf({ rows: 19, channelsLast: 3 }, 1000)).toBe('rows');
  expect(layoutOf({ rows: 3, channelsLast: 20 }, 1000)).toBe('rows');
});

it.each([{ source: 'cudnn' as const }, { plugin: 'acme::Scale 1' }])('counts no estimate of %o', (of) => {
  const known = { rows: 3, channelsLast: 100 };
  const nominal = { ...candidate('channelsLast', 1), ...of };
  expect(layoutOf(known, 1000, [nominal])).toBe('rows');
  // What nobody else offers is not known to be slower, nor faster.
  expect(layoutOf({ rows: 100 }, 1000, [nominal])).toBe('rows');
  expect(layoutOf({ channelsLast: 100 }, 1000, [{ ...candidate('rows', 500), ...of }])).toBe('rows');
});
