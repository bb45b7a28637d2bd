/** Norms written out in their parts become one node: statistics stay in float32 and one kernel reads the row once. */

import { constantDataOf, elementCount, type GraphBuilder, type Rule, Tensor, type Value } from '@tensorwright/core';
import { uniformValue } from '../canonicalise/map-algebra.js';
import { groupNormRules } from './group-norm.js';
import { dimsOf, rulePass, type RulePass, sameDims, typeOf, unaryExample } from '../rules.js';

/** mean over the last axis with the axis kept: reduce sum times 1 / n, or divided by n. */
function meanOfLast(v: Value | undefined): Value | undefined {
  const node = v?.node;
  if (node?.op !== 'mul' && node?.op !== 'div') return undefined;
  const [a, b] = node.inputs as [Value, Value];
  const sum = a.node.op === 'reduce' ? a : node.op === 'mul' && b.node.op === 'reduce' ? b : undefined;
  const factor = uniformValue(sum === a ? b : a);
  if (!sum || factor === undefined) return undefined;
  const { attributes, inputs } = sum.node;
  const dims = dimsOf(inputs[0]);
  const axes = attributes['axes'] as readonly number[];
  const last = dims?.at(-1);
  if (
    attributes['monoid'] !== 'sum' ||
    attributes['keepdims'] !== true ||
    axes.length !== 1 ||
    typeof last !== 'number'
  )
    return undefined;
  if (axes[0] !== dims!.length - 1 && axes[0] !== -1) return undefined;
  const n = node.op === 'div' ? factor : 1 / factor;
  return Math.abs(n - last) < 1e-3 ? inputs[0]! : undefined;
}

/** x / √(m + ε), x · (1 / √(m + ε)), x · (m + ε)^-½ → { x, m, ε }. */
function scaledByRoot(v: Value): { x: Value; mean: Value; epsilon: number } | undefined {
  const { node } = v;
  if (node.op !== 'mul' && node.op !== 'div') return undefined;
  const [a, b] = node.inputs as [Value, Value];
  const options: [Value, Value][] =
    node.op === 'div'
      ? [[a, b]]
      : [
          [a, b],
          [b, a],
        ];
  for (const [x, factor] of options) {
    const root = node.op === 'div' ? sqrtArgument(factor) : inverseRootArgument(factor);
    if (root?.node.op !== 'add') continue;
    const [p, q] = root.node.inputs as [Value, Value];
    const epsilon = uniformValue(q) ?? uniformValue(p);
    if (epsilon !== undefined) return { x, mean: uniformValue(q) === undefined ? q : p, epsilon };
  }
  return undefined;
}

function sqrtArgument(v: Value): Value | undefined {
  return v.node.op === 'sqrt' ? v.node.inputs[0] : undefined;
}

function inverseRootArgument(v: Value): Value | undefined {
  if (v.node.op === 'reciprocal') return sqrtArgument(v.node.inputs[0]!);
  if (v.node.op === 'div' && uniformValue(v.node.inputs[0]) === 1) return sqrtArgument(v.node.inputs[1]!);
  return v.node.op === 'pow' && uniformValue(v.node.inputs[1]) === -0.5 ? v.node.inputs[0] : undefined;
}

/** The one-dimensional parameter of a norm: constant along the last axis only. */
function parameter(builder: GraphBuilder, v: Value, last: unknown): Value | undefined {
  const constant = constantDataOf(v);
  const size = constant && elementCount(constant.dims);
  if (size === undefined || size !== last || constant!.dims.some((d, i) => d !== 1 && i !== constant!.dims.length - 1))
    return undefined;
  return constant!.dims.length === 1 ? v : builder.constant(constant!.tensor.reshape([size]));
}

const rmsNorm: Rule = {
  name: 'x / √(mean(x²) + ε) ⇒ rmsNorm(x, 1)',
  roots: ['mul', 'div'],
  apply(node, { builder }) {
    const parts = scaledByRoot(node.outputs[0]!);
    const squared = parts && meanOfLast(parts.mean)?.node;
    if (!parts || squared?.op !== 'mul' || squared.inputs[0] !== parts.x || squared.inputs[1] !== parts.x)
      return undefined;
    const { dtype } = typeOf(parts.x);
    const size = dimsOf(parts.x)!.at(-1) as number;
    const ones = builder.op('expand', [builder.scalar(1, dtype)], { dims: [size] });
    return builder.op('rmsNorm', [parts.x, ones], { axis: -1, epsilon: parts.epsilon });
  },
  example: (b) => unaryExample(b, [2, 4], (x) => b.op('mul', [x, inverseRoot(b, x, 4)])),
};

const scaledRmsNorm: Rule = {
  name: 'rmsNorm(x, 1)·s ⇒ rmsNorm(x, s)',
  roots: ['mul'],
  apply(node, { builder, uses }) {
    const [a, b] = node.inputs as [Value, Value];
    for (const [normalised, scale] of [
      [a, b],
      [b, a],
    ] as const) {
      const [x, one] = normalised.node.inputs;
      if (normalised.node.op !== 'rmsNorm' || uses(normalised) !== 1) continue;
      if (uniformValue(one?.node.op === 'expand' ? one.node.inputs[0] : one) !== 1) continue;
      const s = parameter(builder, scale, dimsOf(x)?.at(-1));
      if (s && typeOf(s).dtype === typeOf(x!).dtype) return builder.op('rmsNorm', [x, s], normalised.node.attributes);
    }
    return undefined;
  },
  example: (b) =>
    unaryExample(b, [2, 4], (x) => {
      const one = b.op('expand', [b.scalar(1, 'float32')], { dims: [4] });
      return b.op('mul', [b.op('rmsNorm', [x, one], { axis: -1, epsilon: 1e-5 }), b.constant(ramp(4))]);
    }),
};

const layerNorm: Rule = {
  name: '(x − mean(x)) / √(mean((x − mean(x))²) + ε) · s + b ⇒ layerNorm(x, s, b)',
  roots: ['add'],
  apply(node, { builder }) {
    for (const [product, shift] of [node.inputs, [...node.inputs].reverse()] as [Value, Value][]) {
      if (product.node.op !== 'mul') continue;
      const [p, q] = product.node.inputs as [Value, Value];
      for (const [normalised, scale] of [
        [p, q],
        [q, p],
      ] as const) {
        const parts = scaledByRoot(normalised);
        const centred = parts?.x.node;
        if (!parts || centred?.op !== 'sub') continue;
        const x = centred.inputs[0]!;
        const squared = meanOfLast(parts.mean);
        const last = dimsOf(x)?.at(-1);
        const isSquare =
          squared?.node.op === 'mul' && squared.node.inputs[0] === parts.x && squared.node.inputs[1] === parts.x;
        if (!isSquare || meanOfLast(centred.inputs[1]) !== x || last === undefined) continue;
        const s = parameter(builder, scale, last);
        const t = parameter(builder, shift, last);
        if (s && t && sameDims(dimsOf(x), dimsOf(node.outputs[0]))) {
          return builder.op('layerNorm', [x, s, t], { axis: -1, epsilon: parts.epsilon });
        }
      }
    }
    return undefined;
  },
  example: (b) =>
    unaryExample(b, [2, 4], (x) => {
      const centred = b.op('sub', [x, meanExample(b, x, 4)]);
      const variance = meanExample(b, b.op('mul', [centred, centred]), 4);
      const root = b.op('sqrt', [b.op('add', [variance, b.scalar(1e-5, 'float32')])]);
      const scaled = b.op('mul', [b.op('div', [centred, root]), b.constant(ramp(4))]);
      return b.op('add', [scaled, b.constant(ramp(4))]);
    }),
};

function ramp(n: number): Tensor {
  return new Tensor(
    'float32',
    Float32Array.from({ length: n }, (_, i) => 1 + i / n),
    [n],
  );
}

function inverseRoot(b: GraphBuilder, x: Value, n: number): Value {
  const mean = meanExample(b, b.op('mul', [x, x]), n);
  return b.op('reciprocal', [b.op('sqrt', [b.op('add', [mean, b.scalar(1e-5, 'float32')])])]);
}

function meanExample(b: GraphBuilder, x: Value, n: number): Value {
  return b.op('mul', [b.op('reduce', [x], { monoid: 'sum', axes: [1], keepdims: true }), b.scalar(1 / n, 'float32')]);
}

export const fuseNorms: RulePass = rulePass('fuse-norms', 'numbers', [
  rmsNorm,
  scaledRmsNorm,
  layerNorm,
  ...groupNormRules,
]);
