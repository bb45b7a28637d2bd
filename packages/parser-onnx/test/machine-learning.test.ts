import { evaluateGraph, GraphBuilder, type RuntimeValue, Tensor, tensorType } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { expectLikeOrt, numbers } from './support/against-onnxruntime.js';

const domain = 'ai.onnx.ml';
const rows = numbers([6, 4], 11, 2);
const symbolic = (): readonly number[] => [0];

describe('ai.onnx.ml against ONNX Runtime', () => {
  it.each(['MAX', 'L1', 'L2'])('Normalizer %s', async (norm) => {
    await expectLikeOrt({ op: 'Normalizer', domain, inputs: [numbers([6, 4], 3)], attributes: { norm } });
  });

  it('Scaler, Binarizer, Imputer, FeatureVectorizer, ArrayFeatureExtractor, OneHotEncoder', async () => {
    await expectLikeOrt({
      op: 'Scaler',
      domain,
      inputs: [rows],
      attributes: { offset: { floats: [1, 0, -1, 0.5] }, scale: { floats: [2, 1, 0.5, 3] } },
    });
    await expectLikeOrt({ op: 'Binarizer', domain, inputs: [rows], attributes: { threshold: { float: 0.25 } } });
    const holes = new Tensor('float32', [1, NaN, 3, 4, NaN, 6], [2, 3]);
    await expectLikeOrt({
      op: 'Imputer',
      domain,
      inputs: [holes],
      attributes: { imputed_value_floats: { floats: [7, 8, 9] }, replaced_value_float: { float: NaN } },
    });
    await expectLikeOrt(
      { op: 'FeatureVectorizer', domain, inputs: [rows, numbers([6, 2], 5)], attributes: { inputdimensions: [4, 2] } },
      { symbolic },
    );
    await expectLikeOrt(
      { op: 'ArrayFeatureExtractor', domain, inputs: [rows, new Tensor('int64', [2, 0])] },
      { symbolic: false },
    );
    await expectLikeOrt({
      op: 'OneHotEncoder',
      domain,
      inputs: [new Tensor('int64', [3, 1, 2])],
      attributes: { cats_int64s: [1, 2, 3] },
      outputs: ['float32'],
    });
    await expectLikeOrt({
      op: 'OneHotEncoder',
      domain,
      inputs: [new Tensor('string', ['b', 'c', 'a'])],
      attributes: { cats_strings: ['a', 'b'], zeros: 1 },
      outputs: ['float32'],
    });
  });

  it.each(['NONE', 'SOFTMAX', 'LOGISTIC'])('LinearClassifier of two classes by one column, with %s', (transform) =>
    expectLikeOrt(
      {
        op: 'LinearClassifier',
        domain,
        inputs: [rows],
        attributes: {
          classlabels_ints: [10, 20],
          coefficients: { floats: [...numbers([4], 5).data] },
          intercepts: { floats: [0.1] },
          post_transform: transform,
        },
        outputs: ['int64', 'float32'],
      },
      { symbolic },
    ),
  );

  it('LabelEncoder', async () => {
    const floats = { op: 'LabelEncoder', domain, domainVersion: 2, inputs: [new Tensor('int64', [5, 9, 7])] };
    await expectLikeOrt({
      ...floats,
      attributes: { keys_int64s: [7, 5], values_floats: { floats: [0.5, 1.5] }, default_float: { float: -3 } },
      outputs: ['float32'],
    });
  });

  it.each(['NONE', 'SOFTMAX', 'LOGISTIC'])('LinearRegressor and LinearClassifier with %s', async (transform) => {
    const coefficients = { floats: [...numbers([12], 4).data] };
    const intercepts = { floats: [0.1, -0.2, 0.3] };
    if (transform === 'NONE') {
      await expectLikeOrt(
        {
          op: 'LinearRegressor',
          domain,
          inputs: [rows],
          attributes: { targets: 3, coefficients, intercepts, post_transform: transform },
        },
        { symbolic },
      );
    }
    const attributes = { classlabels_ints: [10, 20, 30], coefficients, intercepts, post_transform: transform };
    await expectLikeOrt(
      { op: 'LinearClassifier', domain, inputs: [rows], attributes, outputs: ['int64', 'float32'] },
      { symbolic },
    );
  });

  it.each([
    ['LINEAR', [0, 0, 0]],
    ['POLY', [0.5, 1, 3]],
    ['RBF', [0.7, 0, 0]],
    ['SIGMOID', [0.5, 0.1, 0]],
  ])('SVMRegressor with the kernel %s', async (kernel, parameters) => {
    const vectors = { floats: [...numbers([5 * 4], 6).data] };
    const attributes = {
      kernel_type: kernel,
      kernel_params: { floats: parameters },
      support_vectors: vectors,
      coefficients: { floats: [1, -0.5, 0.25, 2, -1] },
      rho: { floats: [0.3] },
      n_supports: 5,
    };
    await expectLikeOrt({ op: 'SVMRegressor', domain, inputs: [rows], attributes }, { symbolic });
  });

  /** Two trees: (x0 <= 0 ? leaf : x2 > 0.5 ? leaf : leaf) and (x1 < -0.25 ? leaf : leaf). */
  const nodes = {
    nodes_treeids: [0, 0, 0, 0, 0, 1, 1, 1],
    nodes_nodeids: [0, 1, 2, 3, 4, 0, 1, 2],
    nodes_featureids: [0, 0, 2, 0, 0, 1, 0, 0],
    nodes_modes: ['BRANCH_LEQ', 'LEAF', 'BRANCH_GT', 'LEAF', 'LEAF', 'BRANCH_LT', 'LEAF', 'LEAF'],
    nodes_values: { floats: [0, 0, 0.5, 0, 0, -0.25, 0, 0] },
    nodes_truenodeids: [1, 0, 3, 0, 0, 1, 0, 0],
    nodes_falsenodeids: [2, 0, 4, 0, 0, 2, 0, 0],
  };
  const leaves = { tree: [0, 0, 0, 1, 1], node: [1, 3, 4, 1, 2] };

  it.each(['SUM', 'AVERAGE', 'MIN', 'MAX'])('TreeEnsembleRegressor %s', async (aggregate) => {
    const attributes = {
      ...nodes,
      target_treeids: leaves.tree,
      target_nodeids: leaves.node,
      target_ids: [0, 0, 0, 0, 0],
      target_weights: { floats: [1, -2, 0.5, 0.25, -0.75] },
      n_targets: 1,
      aggregate_function: aggregate,
      base_values: { floats: [0.125] },
    };
    await expectLikeOrt(
      { op: 'TreeEnsembleRegressor', domain, inputs: [rows], attributes, outputs: ['float32'] },
      { symbolic },
    );
  });

  it.each([
    ['three classes', [0, 1, 2, 1, 2], [10, 20, 30], 'NONE', [0.7, 0.6, 0.9, 0.2, 0.4]],
    ['three classes, softmax', [0, 1, 2, 1, 2], [10, 20, 30], 'SOFTMAX', [0.7, 0.6, 0.9, 0.2, 0.4]],
    ['two classes, one column of probabilities', [0, 0, 0, 0, 0], [10, 20], 'NONE', [0.4, 0.1, 0.3, 0.2, 0.3]],
    ['two classes, one column of margins', [0, 0, 0, 0, 0], [10, 20], 'LOGISTIC', [0.7, -0.6, 0.9, -0.8, 0.4]],
    ['two classes, margins of the second', [1, 1, 1, 1, 1], [10, 20], 'NONE', [0.7, -0.6, 0.9, -0.8, 0.4]],
    ['two classes, probabilities of the second', [1, 1, 1, 1, 1], [10, 20], 'NONE', [0.4, 0.1, 0.3, 0.2, 0.3]],
  ])('TreeEnsembleClassifier: %s', async (_, ids, labels, transform, weights) => {
    const attributes = {
      ...nodes,
      class_treeids: leaves.tree,
      class_nodeids: leaves.node,
      class_ids: ids,
      class_weights: { floats: weights },
      classlabels_int64s: labels,
      post_transform: transform,
    };
    await expectLikeOrt(
      { op: 'TreeEnsembleClassifier', domain, inputs: [rows], attributes, outputs: ['int64', 'float32'] },
      { symbolic },
    );
  });
});

describe("maps (ONNX Runtime for Node.js returns none; the standard's examples)", () => {
  const builder = new GraphBuilder();

  it("ZipMap and DictVectorizer are each other's inverse", () => {
    const x = builder.input('x', tensorType('float32', [2, 3]));
    const zipped = builder.op('zipMap', [x, builder.constant(new Tensor('string', ['a', 'b', 'c']))]);
    const [maps] = evaluateGraph({ inputs: [x], outputs: [zipped] }, [
      new Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]),
    ]);
    const second = (maps as { items: readonly RuntimeValue[] }).items[1]!;
    const map = builder.input('map', { kind: 'map', key: 'string', element: tensorType('float32', []) });
    const row = builder.op('dictVectorizer', [map, builder.constant(new Tensor('string', ['c', 'z', 'a']))]);
    const [result] = evaluateGraph({ inputs: [map], outputs: [row] }, [second]) as Tensor[];
    expect([...result!.data]).toEqual([6, 0, 4]);
    expect(result!.dims).toEqual([1, 3]);
  });

  it('CastMap, dense and sparse', () => {
    const map = builder.input('map', { kind: 'map', key: 'int64', element: tensorType('string', []) });
    const entries = new Map([
      [4n, new Tensor('string', ['2.5'], [])],
      [1n, new Tensor('string', ['7'], [])],
    ]);
    const run = (attributes: { to: string; maxMap?: number }): unknown[] => {
      const [result] = evaluateGraph({ inputs: [map], outputs: [builder.op('castMap', [map], attributes)] }, [
        { kind: 'map', entries },
      ]) as Tensor[];
      return [...result!.data];
    };
    expect(run({ to: 'float32' })).toEqual([7, 2.5]);
    expect(run({ to: 'int64', maxMap: 5 })).toEqual([0n, 7n, 0n, 0n, 2n]);
  });
});
