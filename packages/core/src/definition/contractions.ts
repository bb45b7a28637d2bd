/** Matrix products and Einsum as labelled dots. */

import { broadcastDim } from '../broadcast.js';
import { type Dim, formatDims, provablyEqual } from '../dim.js';
import type { Value } from '../graph.js';
import type { LayerBuilder } from './layers.js';

export type MatrixOperation = 'none' | 'transpose' | 'vector';

const batchLabels = 'abcdefghijlopqrstuvwxyz';

/** Products of stacks of matrices, whose leading dimensions broadcast. */
export function matrixMultiply(l: LayerBuilder, a: Value, opA: MatrixOperation, b: Value, opB: MatrixOperation): Value {
  for (const op of [opA, opB]) l.choice(op, ['none', 'transpose', 'vector'], 'matrix operation');
  const sides = [
    { value: a, own: opA === 'vector' ? 'k' : opA === 'transpose' ? 'km' : 'mk' },
    { value: b, own: opB === 'vector' ? 'k' : opB === 'transpose' ? 'nk' : 'kn' },
  ].map(({ value, own }) => {
    const dims = l.dims(value);
    if (dims.length < own.length) l.fail(`${formatDims(dims)} is no ${own.length === 1 ? 'vector' : 'matrix'}`);
    return { value, own, batch: dims.slice(0, dims.length - own.length), matrix: dims.slice(dims.length - own.length) };
  });
  const rank = Math.max(...sides.map((s) => s.batch.length));
  const full = Array.from({ length: rank }, (_, i) => {
    const [x, y] = sides.map((s) => s.batch[i - rank + s.batch.length] ?? 1) as [Dim, Dim];
    return (
      broadcastDim(x, y) ??
      l.fail(`batch extents ${formatDims(sides[0]!.batch)} and ${formatDims(sides[1]!.batch)} do not broadcast`)
    );
  });
  const [left, right] = sides.map((s) => {
    // An extent of 1 that broadcasts is left out of the product; one that may be 1 is spread.
    const kept = full.flatMap((target, i) => {
      const own = s.batch[i - rank + s.batch.length];
      return own === undefined || (own === 1 && !provablyEqual(target, 1))
        ? []
        : [{ own, target, label: batchLabels[i]! }];
    });
    const shaped =
      kept.length === s.batch.length
        ? s.value
        : l.op('reshape', [s.value], { dims: [...kept.map((d) => d.own), ...s.matrix] });
    const spread = kept.every((d) => provablyEqual(d.own, d.target))
      ? shaped
      : l.op('expand', [shaped], { dims: [...kept.map((d) => d.target), ...s.matrix] });
    return { value: spread, labels: kept.map((d) => d.label).join('') + s.own };
  }) as [{ value: Value; labels: string }, { value: Value; labels: string }];
  const out = batchLabels.slice(0, rank) + (opA === 'vector' ? '' : 'm') + (opB === 'vector' ? '' : 'n');
  return l.op('dot', [left.value, right.value], { lhs: left.labels, rhs: right.labels, out });
}

interface Operand {
  readonly value: Value;
  readonly labels: string;
}

/** Einsum of any number of operands, multiplied from the left. Labels are letters; a label occurs once in an operand. */
export function einsum(l: LayerBuilder, inputs: readonly Value[], equation: string): Value {
  const [left, right, ...more] = equation.replaceAll(' ', '').split('->');
  const terms = (left ?? '').split(',');
  if (more.length > 0 || !terms.every((t) => /^[A-Za-z]*$/.test(t)) || !/^[A-Za-z]*$/.test(right ?? ''))
    l.fail(`'${equation}' is no equation of letters`);
  if (terms.length !== inputs.length)
    l.fail(`'${equation}' has ${String(terms.length)} terms for ${String(inputs.length)} inputs`);
  terms.forEach((t, i) => {
    if (new Set(t).size !== t.length) l.fail(`'${t}' repeats a label; take the diagonal first`);
    if (t.length !== l.dims(inputs[i]!).length) l.fail(`'${t}' does not fit ${formatDims(l.dims(inputs[i]!))}`);
  });
  const all = terms.join('');
  const out =
    right ??
    [...new Set(all)]
      .filter((x) => all.split(x).length === 2)
      .sort()
      .join('');
  if ([...out].some((x) => !all.includes(x))) l.fail(`'${out}' has labels that no input has`);
  let result: Operand = { value: inputs[0]!, labels: terms[0]! };
  for (let i = 1; i < inputs.length; i++) {
    const later = out + terms.slice(i + 1).join('');
    const next: Operand = { value: inputs[i]!, labels: terms[i]! };
    const [a, b] = [summed(l, result, later + next.labels), summed(l, next, later + result.labels)];
    const labels = [...new Set(a.labels + b.labels)].filter((x) => later.includes(x)).join('');
    result = { value: l.op('dot', [a.value, b.value], { lhs: a.labels, rhs: b.labels, out: labels }), labels };
  }
  const kept = summed(l, result, out);
  const perm = [...out].map((x) => kept.labels.indexOf(x));
  return perm.every((p, i) => p === i) ? kept.value : l.op('transpose', [kept.value], { perm });
}

/** Sums over labels that nothing else has. */
function summed(l: LayerBuilder, { value, labels }: Operand, needed: string): Operand {
  const axes = [...labels].flatMap((x, i) => (needed.includes(x) ? [] : [i]));
  if (axes.length === 0) return { value, labels };
  return {
    value: l.op('reduce', [value], { monoid: 'sum', axes, keepdims: false }),
    labels: [...labels].filter((x) => needed.includes(x)).join(''),
  };
}
