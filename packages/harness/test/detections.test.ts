import { Tensor } from '@tensorwright/core';
import { expect, test } from 'vitest';
import { compareDetections } from '../src/zoo/detections.js';

type Row = readonly [box: readonly [number, number, number, number], score: number, label: number];

const first: Row = [[0, 0, 10, 10], 0.9, 1];
const second: Row = [[20, 20, 40, 60], 0.5, 2];
const third: Row = [[0, 0, 10, 10], 0.3, 3];

function outputs(rows: readonly Row[]): Record<string, Tensor> {
  return {
    boxes: new Tensor('float32', Float32Array.from(rows.flatMap(([box]) => [...box])), [rows.length, 4]),
    scores: new Tensor('float32', Float32Array.from(rows.map(([, score]) => score)), [rows.length]),
    labels: new Tensor('int64', BigInt64Array.from(rows.map(([, , label]) => BigInt(label))), [rows.length]),
  };
}

test('the same detections in another order, nearly in the same place, are equal', () => {
  const moved: Row = [[20.001, 20, 40.001, 60], 0.50001, 2];
  const found = compareDetections(outputs([first, second, third]), outputs([third, first, moved]))!;
  expect(found).toMatchObject({ equal: true, matched: 3, own: 3, peer: 3 });
  expect(found.scoreError).toBeCloseTo(1e-5, 6);
  expect(found.overlapError).toBeCloseTo(1e-4, 4);
});

test.each<[string, readonly Row[]]>([
  ['a missing one', [first, second]],
  ['one more', [first, second, third, third]],
  ['another label', [first, second, [third[0], 0.3, 4]]],
  ['another score', [first, [second[0], 0.51, 2], third]],
  ['another place', [first, [[20, 20, 41, 60], 0.5, 2], third]],
])('%s makes a difference', (_, rows) => {
  expect(compareDetections(outputs(rows), outputs([first, second, third]))?.equal).toBe(false);
});

test('no detections are equal to none, and other outputs are no detections', () => {
  expect(compareDetections(outputs([]), outputs([]))?.equal).toBe(true);
  const { boxes } = outputs([first]);
  expect(compareDetections({ boxes: boxes! }, outputs([first]))).toBeUndefined();
});
