/** How layouts are weighed: bytes that are reordered against what a layout's tactics are foreseen to take. */

import { type Candidate, GraphBuilder, type Layout, tensorType } from '@tensorwright/core';
import { expect, it } from 'vitest';
import { chooseLayouts } from '../src/choose/layouts.js';

const candidate = (layout: Layout, estimate: number): Candidate => ({
  ...{ tactic: layout, producer: '', parameters: {}, stridedOutput: false },
  ...{ inputs: [layout], outputs: [layout], estimate },
});

/** Of a node between tensors of 8192 bytes in rows: its tactics' microseconds by layout. */
function layoutOf(estimates: Readonly<Partial<Record<Layout, number>>>, bytesPerMicrosecond?: number): Layout {
  const b = new GraphBuilder();
  const x = b.input('x', tensorType('float32', [1, 8, 16, 16]));
  const y = b.op('relu', [x]);
  const offered = Object.entries(estimates).map(([layout, estimate]) => candidate(layout as Layout, estimate));
  const labels = chooseLayouts({ inputs: [x], outputs: [y] }, new Map([[y.node, offered]]), () => bytesPerMicrosecond);
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
