/** ai.onnx.ml's tree ensembles: TreeEnsemble (opset 5), and TreeEnsembleRegressor and TreeEnsembleClassifier before it. */

import {
  type DType,
  readIntegers,
  readNumbers,
  Tensor,
  tensorFromNumbers,
  treeAggregates,
  treeModes,
  type Value,
} from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { classLabels, postTransform, postTransforms } from './ml-scores.js';

interface Tables {
  readonly roots: number[];
  readonly modes: number[];
  readonly features: number[];
  readonly splits: Tensor;
  readonly trueIds: number[];
  readonly trueLeafs: number[];
  readonly falseIds: number[];
  readonly falseLeafs: number[];
  readonly missingTrue: number[];
  readonly leafStarts: number[];
  readonly leafTargets: number[];
  readonly leafWeights: Tensor;
  readonly members?: Tensor | undefined;
}

function ensemble(c: ImportContext, x: Value, tables: Tables, targets: number, aggregate: string): Value {
  if (tables.leafTargets.some((t) => t < 0 || t >= targets)) c.fail(`a leaf names a target beyond ${targets}`);
  const ints = (list: readonly number[]): Value => c.constant(new Tensor('int64', list));
  const inputs = [
    x,
    ints(tables.roots),
    ints(tables.modes),
    ints(tables.features),
    c.constant(tables.splits),
    ints(tables.trueIds),
    ints(tables.trueLeafs),
    ints(tables.falseIds),
    ints(tables.falseLeafs),
    ints(tables.missingTrue),
    ints(tables.leafStarts),
    ints(tables.leafTargets),
    c.constant(tables.leafWeights),
    tables.members && c.constant(tables.members),
  ];
  return c.op('treeEnsemble', inputs, { targets, aggregate });
}

function treeEnsemble(c: ImportContext): Value {
  const needed = (name: string): number[] => c.ints(name) ?? c.fail(`attribute '${name}' is missing`);
  const tensor = (name: string): Tensor => (c.tensor(name) ?? c.fail(`attribute '${name}' is missing`)).tensor;
  const leafTargets = needed('leaf_targetids');
  const modes = Array.from(readIntegers(tensor('nodes_modes')), Number);
  const tables: Tables = {
    roots: needed('tree_roots'),
    modes,
    features: needed('nodes_featureids'),
    splits: tensor('nodes_splits'),
    trueIds: needed('nodes_truenodeids'),
    trueLeafs: needed('nodes_trueleafs'),
    falseIds: needed('nodes_falsenodeids'),
    falseLeafs: needed('nodes_falseleafs'),
    missingTrue: c.ints('nodes_missing_value_tracks_true') ?? modes.map(() => 0),
    leafStarts: Array.from({ length: leafTargets.length + 1 }, (_, i) => i),
    leafTargets,
    leafWeights: tensor('leaf_weights'),
    members: c.tensor('membership_values')?.tensor,
  };
  const aggregate = treeAggregates[c.int('aggregate_function', 1)] ?? c.fail('unknown aggregate_function');
  const scores = ensemble(c, c.input(0), tables, c.int('n_targets', 1), aggregate);
  return postTransform(c, scores, postTransforms[c.int('post_transform', 0)] ?? c.fail('unknown post_transform'));
}

/** Attributes come as lists of floats, or as tensors of doubles. */
function floats(c: ImportContext, name: string): Tensor | undefined {
  const list = c.floats(name);
  return list ? new Tensor('float32', list) : c.tensor(`${name}_as_tensor`)?.tensor;
}

/** The tables of the older form, where nodes carry (tree, node) pairs and leaves are nodes of mode LEAF. */
function olderTables(c: ImportContext, kind: 'target' | 'class'): Tables {
  const ints = (name: string): number[] => c.ints(name) ?? c.fail(`attribute '${name}' is missing`);
  const trees = ints('nodes_treeids');
  const nodeIds = ints('nodes_nodeids');
  const names = c.strings('nodes_modes') ?? c.fail("attribute 'nodes_modes' is missing");
  const values = floats(c, 'nodes_values') ?? c.fail("attribute 'nodes_values' is missing");
  const key = (tree: number, node: number): string => `${tree}.${node}`;
  const place = new Map(nodeIds.map((id, i) => [key(trees[i]!, id), i]));
  const weights = new Map<string, { target: number; weight: number }[]>();
  const weightValues = readNumbers(floats(c, `${kind}_weights`) ?? c.fail(`attribute '${kind}_weights' is missing`));
  const weightNodes = ints(`${kind}_nodeids`);
  const targets = ints(`${kind}_ids`);
  ints(`${kind}_treeids`).forEach((tree, i) => {
    const at = key(tree, weightNodes[i]!);
    const list = weights.get(at) ?? [];
    list.push({ target: targets[i]!, weight: weightValues[i]! });
    weights.set(at, list);
  });
  // Inner nodes and leaves are numbered apart; a tree that is one leaf gets a node whose both ways lead there.
  const inner: number[] = [];
  const leaves: number[] = [];
  const innerNumber = new Map<number, number>();
  const leafNumber = new Map<number, number>();
  names.forEach((mode, i) => {
    if (mode === 'LEAF') leafNumber.set(i, leaves.push(i) - 1);
    else innerNumber.set(i, inner.push(i) - 1);
  });
  const [trueNodes, falseNodes] = [ints('nodes_truenodeids'), ints('nodes_falsenodeids')];
  const missing = c.ints('nodes_missing_value_tracks_true');
  const features = ints('nodes_featureids');
  const follow = (i: number, id: number): { index: number; leaf: number } => {
    const at = place.get(key(trees[i]!, id)) ?? c.fail(`tree ${trees[i]} has no node ${id}`);
    const leaf = leafNumber.get(at);
    return leaf === undefined ? { index: innerNumber.get(at)!, leaf: 0 } : { index: leaf, leaf: 1 };
  };
  const nodes = inner.map((i) => ({
    mode: treeModes.indexOf(names[i] as (typeof treeModes)[number]),
    feature: features[i]!,
    split: i,
    yes: follow(i, trueNodes[i]!),
    no: follow(i, falseNodes[i]!),
    missing: missing?.[i] ?? 0,
  }));
  const roots: number[] = [];
  const seen = new Set<number>();
  const targetsOfNodes = new Set(inner.flatMap((i) => [key(trees[i]!, trueNodes[i]!), key(trees[i]!, falseNodes[i]!)]));
  trees.forEach((tree, i) => {
    if (seen.has(tree) || targetsOfNodes.has(key(tree, nodeIds[i]!))) return;
    seen.add(tree);
    const leaf = leafNumber.get(i);
    if (leaf === undefined) roots.push(innerNumber.get(i)!);
    else
      roots.push(
        nodes.push({
          mode: 0,
          feature: 0,
          split: i,
          yes: { index: leaf, leaf: 1 },
          no: { index: leaf, leaf: 1 },
          missing: 0,
        }) - 1,
      );
  });
  if (nodes.some((n) => n.mode < 0)) c.fail(`unknown node mode among [${[...new Set(names)].join(', ')}]`);
  const splits = readNumbers(values);
  const leafLists = leaves.map((i) => weights.get(key(trees[i]!, nodeIds[i]!)) ?? []);
  const leafStarts = [0];
  for (const list of leafLists) leafStarts.push(leafStarts.at(-1)! + list.length);
  return {
    roots,
    modes: nodes.map((n) => n.mode),
    features: nodes.map((n) => n.feature),
    splits: tensorFromNumbers(
      values.dtype,
      nodes.map((n) => splits[n.split]!),
      [nodes.length],
    ),
    trueIds: nodes.map((n) => n.yes.index),
    trueLeafs: nodes.map((n) => n.yes.leaf),
    falseIds: nodes.map((n) => n.no.index),
    falseLeafs: nodes.map((n) => n.no.leaf),
    missingTrue: nodes.map((n) => n.missing),
    leafStarts,
    leafTargets: leafLists.flat().map((w) => w.target),
    leafWeights: tensorFromNumbers(
      'float32',
      leafLists.flat().map((w) => w.weight),
      [leafStarts.at(-1)!],
    ),
  };
}

function regressor(c: ImportContext): Value {
  const targets = c.int('n_targets', 1);
  const scores = ensemble(c, c.input(0), olderTables(c, 'target'), targets, c.string('aggregate_function', 'SUM'));
  return postTransform(c, withBase(c, scores, targets), c.string('post_transform', 'NONE'));
}

function withBase(c: ImportContext, scores: Value, targets: number): Value {
  const base = floats(c, 'base_values');
  if (!base || base.size === 0) return scores;
  if (base.size !== targets && base.size !== 1) c.fail(`${base.size} base values for ${targets} targets`);
  const dtype: DType = c.type(scores).dtype;
  return c.op('add', [scores, c.constant(tensorFromNumbers(dtype, readNumbers(base), [base.size]))]);
}

function classifier(c: ImportContext): Value[] {
  const tables = olderTables(c, 'class');
  const labels = classLabels(c);
  const { count } = labels;
  const transform = c.string('post_transform', 'NONE');
  const probabilities = readNumbers(tables.leafWeights).every((w) => w >= 0);
  if (count === 2 && tables.leafTargets.every((t) => t === 0)) {
    // Weights for the first class alone: what is summed is the score of the second.
    return labels.binary(withBase(c, ensemble(c, c.input(0), tables, 1, 'SUM'), 1), probabilities, transform);
  }
  const scores = withBase(c, ensemble(c, c.input(0), tables, count, 'SUM'), count);
  if (count === 2 && tables.leafTargets.every((t) => t === 1)) {
    const positive = c.op('slice', [scores], { starts: [0, 1], sizes: [c.dimsOf(scores)[0]!, 1], steps: [1, 1] });
    return [labels.binary(positive, probabilities, 'NONE')[0]!, postTransform(c, scores, transform)];
  }
  return [
    labels.pick(c.op('argMax', [scores], { axis: 1, keepdims: false, selectLastIndex: false })),
    postTransform(c, scores, transform),
  ];
}

export const treeImporters: ImporterTable = {
  TreeEnsemble: treeEnsemble,
  TreeEnsembleRegressor: regressor,
  TreeEnsembleClassifier: classifier,
};
