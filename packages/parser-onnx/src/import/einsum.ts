/** Einsum: a chain of labelled dots; sums over labels of one operand alone become reductions, repeated labels diagonals. */

import { addDims, type Dim, mulDims, provablyEqual, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { cast, reshape, transpose } from './shorthand.js';

/** Labels that stand for the dimensions of an ellipsis, the innermost first. */
const ellipsisLabels = '0123456789';

interface Operand {
  readonly value: Value;
  readonly labels: string;
}

function parse(c: ImportContext, ranks: readonly number[]): { terms: string[]; output: string } {
  const equation = c.string('equation', '').replaceAll(' ', '');
  const [left, right, ...more] = equation.split('->');
  if (left === undefined || more.length > 0) c.fail(`the equation '${equation}' has more than one arrow`);
  const written = left.split(',');
  if (written.length !== ranks.length)
    c.fail(`the equation '${equation}' has ${String(written.length)} terms for ${String(ranks.length)} inputs`);
  let widest = 0;
  const terms = written.map((term, i) => {
    const parts = term.split('...');
    if (parts.length > 2 || /[^A-Za-z]/u.test(parts.join(''))) c.fail(`'${term}' is no term of an equation`);
    const hidden = ranks[i]! - parts.join('').length;
    if (hidden < 0 || (parts.length === 1 && hidden !== 0))
      c.fail(`'${term}' does not fit an input of rank ${String(ranks[i])}`);
    if (hidden > ellipsisLabels.length) c.unsupported(`an ellipsis over ${String(hidden)} dimensions`);
    widest = Math.max(widest, hidden);
    return parts.join([...ellipsisLabels.slice(0, hidden)].reverse().join(''));
  });
  const ellipsis = [...ellipsisLabels.slice(0, widest)].reverse().join('');
  if (right !== undefined) return { terms, output: right.replace('...', ellipsis) };
  const letters = written.join('').replaceAll('.', '');
  const once = [...new Set(letters)].filter((l) => letters.split(l).length === 2);
  return { terms, output: ellipsis + once.sort().join('') };
}

/** Takes the diagonal of every repeated label: merged into one axis, the diagonal is every (n + 1)-th element. */
function diagonals(c: ImportContext, { value, labels }: Operand): Operand {
  const repeated = [...labels].find((l, i) => labels.indexOf(l) !== i);
  if (repeated === undefined) return { value, labels };
  const first = labels.indexOf(repeated);
  const second = labels.indexOf(repeated, first + 1);
  const rest = [...labels].map((_, i) => i).filter((i) => i !== first && i !== second);
  const moved = transpose(c, value, [...rest, first, second]);
  const dims = c.dimsOf(moved);
  const n = dims.at(-1)!;
  const outer = dims.slice(0, -2);
  const flat = reshape(c, moved, [...outer, mulDims(n, n)]);
  const diagonal = c.op('slice', [flat], {
    starts: [...outer.map(() => 0), 0],
    sizes: [...outer, n],
    steps: [...outer.map(() => 1), addDims(n, 1)],
  });
  return diagonals(c, { value: diagonal, labels: rest.map((i) => labels[i]!).join('') + repeated });
}

function sumOut(c: ImportContext, { value, labels }: Operand, gone: (label: string) => boolean): Operand {
  const axes = [...labels].map((_, i) => i).filter((i) => gone(labels[i]!));
  if (axes.length === 0) return { value, labels };
  return {
    value: c.op('reduce', [value], { monoid: 'sum', axes, keepdims: false }),
    labels: [...labels].filter((l) => !gone(l)).join(''),
  };
}

/** Leaves out axes of extent 1 whose label is longer in another operand. */
function dropBroadcast(c: ImportContext, { value, labels }: Operand, extents: ReadonlyMap<string, Dim>): Operand {
  const dims = c.dimsOf(value);
  const kept = [...labels].map((_, i) => i).filter((i) => dims[i] !== 1 || provablyEqual(extents.get(labels[i]!)!, 1));
  return {
    value: reshape(
      c,
      value,
      kept.map((i) => dims[i]!),
    ),
    labels: kept.map((i) => labels[i]!).join(''),
  };
}

function einsum(c: ImportContext): Value {
  const inputs = c.inputs();
  const { terms, output } = parse(
    c,
    inputs.map((v) => c.rank(v)),
  );
  const dtype = c.type(inputs[0]!).dtype;
  let operands = inputs.map((value, i) => diagonals(c, { value, labels: terms[i]! }));
  const extents = new Map<string, Dim>();
  for (const { value, labels } of operands) {
    [...labels].forEach((l, i) => {
      const d = c.dimsOf(value)[i]!;
      const known = extents.get(l);
      if (known === undefined || known === 1) extents.set(l, d);
    });
  }
  operands = operands.map((o) => dropBroadcast(c, o, extents));
  for (const l of output)
    if (!operands.some((o) => o.labels.includes(l))) c.fail(`the output label '${l}' is in no term`);
  operands = operands.map((o, i) =>
    sumOut(c, o, (l) => !output.includes(l) && !operands.some((p, k) => k !== i && p.labels.includes(l))),
  );
  let [total, ...rest] = operands as [Operand, ...Operand[]];
  while (rest.length > 0) {
    const [next, ...later] = rest as [Operand, ...Operand[]];
    const needed = (l: string): boolean => output.includes(l) || later.some((o) => o.labels.includes(l));
    const kept = [...new Set(total.labels + next.labels)].filter(needed);
    const out = later.length === 0 ? [...output].filter((l) => kept.includes(l)).join('') : kept.join('');
    const value = c.op('dot', [total.value, next.value], { lhs: total.labels, rhs: next.labels, out });
    // Labels met here for the last time in one operand only were summed before; those in both are contracted.
    total = { value, labels: out };
    rest = later;
  }
  return cast(
    c,
    transpose(
      c,
      total.value,
      [...output].map((l) => total.labels.indexOf(l)),
    ),
    dtype,
  );
}

export const einsumImporters: ImporterTable = { Einsum: einsum };
