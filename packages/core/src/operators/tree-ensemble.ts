/**
 * Ensembles of decision trees. All tables are constants: nodes by index, leaves as runs of (target, weight) pairs.
 * What is summed or averaged over the trees is left to `aggregate`; transforms of the scores are maps around it.
 */

import { readIntegers, readNumbers, tensorFromNumbers } from '../elements.js';
import { isFloat } from '../dtype.js';
import { type EvaluateContext, type Operator, registerOperator } from '../operator.js';
import type { Tensor } from '../tensor.js';
import { tensorType } from '../type.js';

/** Conditions of a node, in ONNX's numbering; `member`: the value is one of a set. */
export const treeModes = [
  'BRANCH_LEQ',
  'BRANCH_LT',
  'BRANCH_GTE',
  'BRANCH_GT',
  'BRANCH_EQ',
  'BRANCH_NEQ',
  'BRANCH_MEMBER',
] as const;
export const treeAggregates = ['AVERAGE', 'SUM', 'MIN', 'MAX'] as const;

const inputs = [
  'x',
  'roots',
  'modes',
  'features',
  'splits',
  'trueIds',
  'trueLeafs',
  'falseIds',
  'falseLeafs',
  'missingTrue',
  'leafStarts',
  'leafTargets',
  'leafWeights',
  'members?',
] as const;

interface Trees {
  readonly roots: number[];
  readonly modes: number[];
  readonly features: number[];
  readonly splits: Float64Array;
  readonly trueIds: number[];
  readonly trueLeafs: number[];
  readonly falseIds: number[];
  readonly falseLeafs: number[];
  readonly missingTrue: number[];
  readonly leafStarts: number[];
  readonly leafTargets: number[];
  readonly leafWeights: Float64Array;
  /** Per node: the values of a `member` node. */
  readonly members: readonly (ReadonlySet<number> | undefined)[];
}

function treesOf(c: EvaluateContext): Trees {
  const list = (name: (typeof inputs)[number]): number[] =>
    Array.from(readIntegers(c.tensor(inputs.indexOf(name))), Number);
  const modes = list('modes');
  return {
    roots: list('roots'),
    modes,
    features: list('features'),
    splits: readNumbers(c.tensor(4)),
    trueIds: list('trueIds'),
    trueLeafs: list('trueLeafs'),
    falseIds: list('falseIds'),
    falseLeafs: list('falseLeafs'),
    missingTrue: list('missingTrue'),
    leafStarts: list('leafStarts'),
    leafTargets: list('leafTargets'),
    leafWeights: readNumbers(c.tensor(12)),
    members: memberSets(modes, c.has(13) ? c.tensor(13) : undefined),
  };
}

/** The sets lie one after the other, NaN behind each, in the order of their nodes. */
function memberSets(modes: readonly number[], members: Tensor | undefined): (ReadonlySet<number> | undefined)[] {
  const sets: Set<number>[] = [new Set()];
  if (members) {
    for (const v of readNumbers(members)) {
      if (Number.isNaN(v)) sets.push(new Set());
      else sets.at(-1)!.add(v);
    }
  }
  let next = 0;
  return modes.map((mode) => (mode === 6 ? sets[next++] : undefined));
}

function goesTrue(trees: Trees, node: number, value: number): boolean {
  if (Number.isNaN(value)) return trees.missingTrue[node] !== 0;
  const split = trees.splits[node]!;
  switch (trees.modes[node]) {
    case 0:
      return value <= split;
    case 1:
      return value < split;
    case 2:
      return value >= split;
    case 3:
      return value > split;
    case 4:
      return value === split;
    case 5:
      return value !== split;
    default:
      return trees.members[node]?.has(value) === true;
  }
}

/** The leaf a row ends in. */
function leafOf(c: EvaluateContext, trees: Trees, root: number, row: Float64Array): number {
  let node = root;
  for (let steps = 0; steps <= trees.modes.length; steps++) {
    const yes = goesTrue(trees, node, row[trees.features[node]!] ?? NaN);
    const next = yes ? trees.trueIds[node]! : trees.falseIds[node]!;
    if ((yes ? trees.trueLeafs : trees.falseLeafs)[node] !== 0) return next;
    node = next;
  }
  return c.fail(`the tree of node ${String(root)} has a cycle`);
}

function aggregate(kind: string, old: number | undefined, weight: number): number {
  if (old === undefined) return weight;
  return kind === 'MIN' ? Math.min(old, weight) : kind === 'MAX' ? Math.max(old, weight) : old + weight;
}

function evaluate(c: EvaluateContext): Tensor {
  const x = c.tensor(0);
  const trees = treesOf(c);
  const targets = c.attributes['targets'] as number;
  const kind = c.attributes['aggregate'] as string;
  const rows = x.dims.length === 1 ? 1 : x.dims[0]!;
  const width = x.dims.at(-1)!;
  const values = readNumbers(x);
  const out = new Float64Array(rows * targets);
  for (let r = 0; r < rows; r++) {
    const row = values.subarray(r * width, (r + 1) * width);
    const scores = new Array<number | undefined>(targets).fill(undefined);
    for (const root of trees.roots) {
      const leaf = leafOf(c, trees, root, row);
      for (let k = trees.leafStarts[leaf]!; k < trees.leafStarts[leaf + 1]!; k++) {
        const target = trees.leafTargets[k]!;
        scores[target] = aggregate(kind, scores[target], trees.leafWeights[k]!);
      }
    }
    scores.forEach((s, t) => (out[r * targets + t] = kind === 'AVERAGE' ? (s ?? 0) / trees.roots.length : (s ?? 0)));
  }
  return tensorFromNumbers(c.tensor(12).dtype, out, [rows, targets]);
}

export const treeEnsemble: Operator = registerOperator({
  name: 'treeEnsemble',
  kind: 'opaque',
  inputs,
  attributes: { targets: undefined, aggregate: 'SUM' },
  infer: (c) => {
    const { dims } = c.tensor(0);
    const weights = c.tensor(12).dtype;
    if (!isFloat(weights)) c.fail('the weights must be floats');
    if (dims !== undefined && (dims.length < 1 || dims.length > 2))
      c.fail('the input must have dims [features] or [rows, features]');
    checkTables(
      c.constant(2)?.tensor,
      c.inputs.map((_, i) => c.constant(i)?.tensor),
      (message) => c.fail(message),
    );
    const rows = dims === undefined ? c.fresh('rows') : dims.length === 1 ? 1 : dims[0]!;
    return [tensorType(weights, [rows, c.attributes['targets'] as number])];
  },
  evaluate: (c) => [evaluate(c)],
});

/** Indices that point out of their tables would read nothing, or run in circles. */
function checkTables(
  modes: Tensor | undefined,
  tables: readonly (Tensor | undefined)[],
  fail: (message: string) => never,
): void {
  if (!modes) return;
  const nodes = modes.size;
  const size = (name: (typeof inputs)[number]): number | undefined => tables[inputs.indexOf(name)]?.size;
  for (const name of ['features', 'splits', 'trueIds', 'trueLeafs', 'falseIds', 'falseLeafs', 'missingTrue'] as const) {
    if (size(name) !== undefined && size(name) !== nodes)
      fail(`${name} has ${String(size(name))} entries for ${String(nodes)} nodes`);
  }
  const leaves = (size('leafStarts') ?? 1) - 1;
  const within = (index: Tensor | undefined, leafs: Tensor | undefined): void => {
    if (!index) return;
    const isLeaf = leafs && readIntegers(leafs);
    readIntegers(index).forEach((v, i) => {
      const end = isLeaf?.[i] ? leaves : nodes;
      if (v < 0n || v >= BigInt(end)) fail(`node ${String(i)} points to ${String(v)}, there are ${String(end)}`);
    });
  };
  within(tables[5], tables[6]);
  within(tables[7], tables[8]);
  within(tables[1], undefined);
}
