/** Map algebra: neutral elements vanish, powers become products, constants meet. Exact in every dtype. */

import {
  constantDataOf,
  elementCount,
  type GraphBuilder,
  isFloat,
  type Rule,
  scalarConstant,
  Tensor,
  type Value,
} from '@tensorwright/core';
import { dimsOf, type RulePass, rulePass, sameDims, typeOf, unaryExample } from '../rules.js';

/** The value of a constant all of whose elements are one number. */
export function uniformValue(v: Value | undefined): number | undefined {
  const constant = constantDataOf(v);
  const size = constant && elementCount(constant.dims);
  if (!size || size > 4096) return undefined;
  return scalarConstant(constant.tensor);
}

const isConstant = (v: Value | undefined, value: number): boolean => uniformValue(v) === value;

/** x when the node computes x unchanged: same dtype and extents. */
function unchanged(node: { outputs: readonly Value[] }, x: Value): Value | undefined {
  const out = node.outputs[0]!;
  return typeOf(x).dtype === typeOf(out).dtype && sameDims(dimsOf(x), dimsOf(out)) ? x : undefined;
}

const neutral: Rule = {
  name: 'x + 0, x - 0, x · 1, x / 1, x ^ 1 ⇒ x',
  roots: ['add', 'sub', 'mul', 'div', 'pow'],
  apply(node) {
    const [a, b] = node.inputs as [Value, Value];
    const one = node.op === 'mul' || node.op === 'div' || node.op === 'pow';
    // -0 + 0 is 0, not -0: adding a positive zero is exact everywhere else.
    if (isConstant(b, one ? 1 : 0)) return unchanged(node, a);
    if ((node.op === 'mul' && isConstant(a, 1)) || (node.op === 'add' && isConstant(a, 0))) return unchanged(node, b);
    return undefined;
  },
  example: (b) => unaryExample(b, [2, 3], (x) => b.op('mul', [x, literal(b, 1)])),
};

const square: Rule = {
  name: 'x ^ 2 ⇒ x · x',
  roots: ['pow'],
  apply(node, { builder }) {
    const [a, b] = node.inputs as [Value, Value];
    return isConstant(b, 2) && sameDims(dimsOf(a), dimsOf(node.outputs[0])) ? builder.op('mul', [a, a]) : undefined;
  },
  example: (b) => unaryExample(b, [2, 3], (x) => b.op('pow', [x, literal(b, 2)])),
};

const squareRoot: Rule = {
  name: 'x ^ 0.5 ⇒ sqrt(x)',
  roots: ['pow'],
  apply(node, { builder }) {
    const [a, b] = node.inputs as [Value, Value];
    const float = isFloat(typeOf(a).dtype);
    return float && isConstant(b, 0.5) && sameDims(dimsOf(a), dimsOf(node.outputs[0]))
      ? builder.op('sqrt', [a])
      : undefined;
  },
  example: (b) => unaryExample(b, [2, 3], (x) => b.op('pow', [b.op('abs', [x]), literal(b, 0.5)])),
};

const castToSame: Rule = {
  name: 'cast(x) to its own dtype ⇒ x',
  roots: ['cast'],
  apply: (node) => (typeOf(node.inputs[0]!).dtype === typeOf(node.outputs[0]!).dtype ? node.inputs[0]! : undefined),
  example: (b) => unaryExample(b, [2, 3], (x) => b.op('cast', [x], { to: 'float32' })),
};

const castBack: Rule = {
  name: 'cast(cast(x, wider), own dtype) ⇒ x',
  roots: ['cast'],
  apply(node) {
    const inner = node.inputs[0]!.node;
    if (inner.op !== 'cast') return undefined;
    const from = typeOf(inner.inputs[0]!).dtype;
    const through = typeOf(inner.outputs[0]!).dtype;
    return typeOf(node.outputs[0]!).dtype === from && widens(from, through) ? inner.inputs[0]! : undefined;
  },
  example: (b) =>
    unaryExample(b, [2, 3], (x) => b.op('cast', [b.op('cast', [x], { to: 'float64' })], { to: 'float32' })),
};

/** Every value of `from` is a value of `to`. */
function widens(from: string, to: string): boolean {
  const table: Readonly<Record<string, readonly string[]>> = {
    float16: ['float32', 'float64'],
    bfloat16: ['float32', 'float64'],
    float32: ['float64'],
    bool: [
      'int8',
      'uint8',
      'int16',
      'uint16',
      'int32',
      'uint32',
      'int64',
      'uint64',
      'float16',
      'bfloat16',
      'float32',
      'float64',
    ],
    int8: ['int16', 'int32', 'int64', 'float32', 'float64'],
    uint8: ['int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float32', 'float64'],
    int32: ['int64', 'float64'],
    uint32: ['int64', 'uint64', 'float64'],
  };
  return table[from]?.includes(to) === true;
}

const selectKnown: Rule = {
  name: 'where(true, x, y) ⇒ x, where(false, x, y) ⇒ y',
  roots: ['where'],
  apply(node) {
    const [condition, a, b] = node.inputs as [Value, Value, Value];
    const known = uniformValue(condition);
    return known === undefined ? undefined : unchanged(node, known !== 0 ? a : b);
  },
  example: (b) =>
    unaryExample(b, [2, 3], (x) => b.op('where', [b.constant(new Tensor('bool', [1], [])), x, b.op('neg', [x])])),
};

const certain: Rule = {
  name: 'x ∧ true, x ∨ false ⇒ x',
  roots: ['and', 'or'],
  apply(node, { builder }) {
    const [a, b] = node.inputs as [Value, Value];
    const neutral = node.op === 'and' ? 1 : 0;
    const x = isConstant(b, neutral) ? a : isConstant(a, neutral) ? b : undefined;
    const dims = dimsOf(node.outputs[0]);
    if (!x || !dims) return undefined;
    return unchanged(node, x) ?? builder.op('expand', [x], { dims });
  },
  example: (b) =>
    unaryExample(b, [2, 3], (x) => {
      const yes = b.constant(new Tensor('bool', [1, 1], [2, 1, 1]));
      return b.op('cast', [b.op('and', [b.op('less', [x, literal(b, 0)]), yes])], { to: 'float32' });
    }),
};

function literal(builder: GraphBuilder, value: number): Value {
  return builder.scalar(value, 'float32');
}

export const mapAlgebra: RulePass = rulePass('map-algebra', 'canonicalise', [
  neutral,
  square,
  squareRoot,
  castToSame,
  castBack,
  selectKnown,
  certain,
]);
