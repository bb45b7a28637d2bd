/** Movement algebra: chains of movements merge, those that move nothing vanish. */

import {
  addDims,
  constantOf,
  type Dim,
  exactQuotient,
  mulDims,
  operatorOf,
  provablyEqual,
  readNumbers,
  type Rule,
  subDims,
  Tensor,
  tensorType,
  type Value,
} from '@tensorwright/core';
import { dimsOf, type RulePass, rulePass, sameDims, through, typeOf, unaryExample } from '../rules.js';
import { booleanMask, causalMask, sharedKeyHeads } from '../numbers/attention-operands.js';
import { rotatedHalves } from '../numbers/rotary.js';
import { gatheredRows } from './gathered-rows.js';
import { shorterChain } from './movement-chain.js';
import {
  castBeforeMovement,
  leadsFromProduct,
  mapBeforeConcat,
  movedProduct,
  rowsAsTheyLie,
  transposeAfterMap,
  windowedProduct,
} from './product-rows.js';
import { sliceEarly } from './slice-early.js';

const reshapeOfReshape: Rule = {
  name: 'reshape(reshape(x)) ⇒ reshape(x)',
  roots: ['reshape'],
  apply(node, { builder }) {
    const x = through(node.inputs[0], 'reshape');
    return x && builder.op('reshape', [x], { dims: typeOf(node.outputs[0]!).dims! });
  },
  example: (b) =>
    unaryExample(b, [2, 6], (x) => b.op('reshape', [b.op('reshape', [x], { dims: [12] })], { dims: [3, 4] })),
};

const reshapeToSame: Rule = {
  name: 'reshape(x) to its own extents ⇒ x',
  roots: ['reshape', 'expand'],
  apply: (node) => (sameDims(dimsOf(node.inputs[0]), dimsOf(node.outputs[0])) ? node.inputs[0]! : undefined),
  example: (b) => unaryExample(b, [2, 6], (x) => b.op('reshape', [x], { dims: [2, 6] })),
};

const transposeOfTranspose: Rule = {
  name: 'transpose(transpose(x, p), q) ⇒ transpose(x, p∘q)',
  roots: ['transpose'],
  apply(node, { builder }) {
    const x = through(node.inputs[0], 'transpose');
    if (!x) return undefined;
    const inner = node.inputs[0]!.node.attributes['perm'] as readonly number[];
    const outer = node.attributes['perm'] as readonly number[];
    return builder.op('transpose', [x], { perm: outer.map((p) => inner[p]!) });
  },
  example: (b) =>
    unaryExample(b, [2, 3, 4], (x) =>
      b.op('transpose', [b.op('transpose', [x], { perm: [1, 0, 2] })], { perm: [0, 2, 1] }),
    ),
};

const identityTranspose: Rule = {
  name: 'transpose(x) that keeps the order of extents above 1 ⇒ reshape(x)',
  roots: ['transpose'],
  apply(node, { builder }) {
    const dims = dimsOf(node.inputs[0]);
    const perm = node.attributes['perm'] as readonly number[];
    const moved = perm.filter((p) => dims?.[p] !== 1);
    if (!dims || moved.some((p, i) => i > 0 && p < moved[i - 1]!)) return undefined;
    return builder.op('reshape', [node.inputs[0]], { dims: typeOf(node.outputs[0]!).dims! });
  },
  example: (b) => unaryExample(b, [2, 1, 4], (x) => b.op('transpose', [x], { perm: [1, 0, 2] })),
};

const wholeSlice: Rule = {
  name: 'slice(x) of everything ⇒ x',
  roots: ['slice'],
  apply(node) {
    const steps = node.attributes['steps'] as readonly Dim[];
    const starts = node.attributes['starts'] as readonly Dim[];
    const whole =
      steps.every((s) => s === 1) &&
      starts.every((s) => s === 0) &&
      sameDims(dimsOf(node.inputs[0]), dimsOf(node.outputs[0]));
    return whole ? node.inputs[0]! : undefined;
  },
  example: (b) => unaryExample(b, [2, 3], (x) => b.op('slice', [x], { starts: [0, 0], sizes: [2, 3], steps: [1, 1] })),
};

const sliceOfSlice: Rule = {
  name: 'slice(slice(x)) ⇒ slice(x)',
  roots: ['slice'],
  apply(node, { builder }) {
    const x = through(node.inputs[0], 'slice');
    if (!x) return undefined;
    const inner = node.inputs[0]!.node.attributes;
    const innerSteps = inner['steps'] as readonly Dim[];
    const starts = (node.attributes['starts'] as readonly Dim[]).map((s, i) =>
      addDims((inner['starts'] as readonly Dim[])[i]!, mulDims(s, innerSteps[i]!)),
    );
    const steps = (node.attributes['steps'] as readonly Dim[]).map((s, i) => mulDims(s, innerSteps[i]!));
    return builder.op('slice', [x], { starts, sizes: node.attributes['sizes'] as readonly Dim[], steps });
  },
  example: (b) =>
    unaryExample(b, [8, 3], (x) => {
      const inner = b.op('slice', [x], { starts: [1, 0], sizes: [6, 3], steps: [1, 1] });
      return b.op('slice', [inner], { starts: [2, 0], sizes: [2, 3], steps: [2, 1] });
    }),
};

const sliceOfConcat: Rule = {
  name: 'slice(concat(…, x, …)) of one operand ⇒ slice(x)',
  roots: ['slice'],
  apply(node, { builder }) {
    const concat = node.inputs[0]!.node;
    if (concat.op !== 'concat') return undefined;
    const axis = concat.attributes['axis'] as number;
    const steps = node.attributes['steps'] as readonly Dim[];
    const starts = node.attributes['starts'] as readonly Dim[];
    const sizes = node.attributes['sizes'] as readonly Dim[];
    const start = starts[axis]!;
    const end = addDims(start, sizes[axis]!);
    if (steps[axis] !== 1 || typeof start !== 'number' || typeof end !== 'number') return undefined;
    let at = 0;
    for (const v of concat.inputs as readonly Value[]) {
      const extent = dimsOf(v)?.[axis];
      if (typeof extent !== 'number') return undefined;
      if (start >= at && end <= at + extent) {
        return builder.op('slice', [v], {
          starts: starts.map((s, i) => (i === axis ? subDims(s, at) : s)),
          sizes,
          steps,
        });
      }
      at += extent;
    }
    return undefined;
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [2, 3]));
    const y = b.input('y', tensorType('float32', [4, 3]));
    return {
      inputs: [x, y],
      outputs: [b.op('slice', [b.op('concat', [x, y], { axis: 0 })], { starts: [3, 0], sizes: [2, 3], steps: [1, 1] })],
    };
  },
};

const concatOfOne: Rule = {
  name: 'concat(x) ⇒ x',
  roots: ['concat'],
  apply: (node) => (node.inputs.length === 1 ? node.inputs[0]! : undefined),
  example: (b) => unaryExample(b, [2, 3], (x) => b.op('concat', [x], { axis: 0 })),
};

const expandBeforeMap: Rule = {
  name: 'map(…, expand(x), …) ⇒ map(…, x, …) where the others span the extents',
  roots: undefined,
  apply(node, { builder }) {
    if (!node.inputs.some((v) => v?.node.op === 'expand') || !isBroadcasting(node.op)) return undefined;
    const out = dimsOf(node.outputs[0]);
    if (!out) return undefined;
    for (const [i, v] of node.inputs.entries()) {
      if (v?.node.op !== 'expand') continue;
      const inputs = node.inputs.map((w, k) => (k === i ? v.node.inputs[0] : w));
      if (!spans(inputs, out)) continue;
      const replaced = builder.op(node.op, inputs, node.attributes);
      if (sameDims(dimsOf(replaced), out)) return replaced;
    }
    return undefined;
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [1, 3]));
    const y = b.input('y', tensorType('float32', [4, 3]));
    return { inputs: [x, y], outputs: [b.op('add', [b.op('expand', [x], { dims: [4, 3] }), y])] };
  },
};

const broadcasting = new Set([
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'min',
  'max',
  'mod',
  'where',
  'equal',
  'less',
  'greater',
  'lessOrEqual',
  'greaterOrEqual',
  'and',
  'or',
  'xor',
]);

function isBroadcasting(op: string): boolean {
  return broadcasting.has(op);
}

/** Each output extent is that of some operand: then broadcasting needs no help. */
function spans(inputs: readonly (Value | undefined)[], out: readonly Dim[]): boolean {
  return out.every((d, axis) =>
    inputs.some((v) => {
      const dims = dimsOf(v);
      const own = dims?.[dims.length - out.length + axis] ?? 1;
      return provablyEqual(own, d);
    }),
  );
}

const reshapeAfterMap: Rule = {
  name: 'map(reshape(dot), y) ⇒ reshape(map(dot, reshape(y))): the map joins the product',
  roots: undefined,
  apply(node, { builder, uses }) {
    if (operatorOf(node.op).kind !== 'map') return undefined;
    const out = dimsOf(node.outputs[0]);
    const product = movedProduct('reshape', node, uses);
    const at = product < 0 ? windowedProduct(node, uses) : product;
    const x = at < 0 ? undefined : node.inputs[at]!.node.inputs[0]!;
    // Where a product already stands without a reshape the map joins that one.
    if (
      node.inputs.some(
        (v) => v && v.node.op !== 'reshape' && uses(v) === 1 && sameDims(dimsOf(v), out) && leadsFromProduct(v, uses),
      )
    )
      return undefined;
    const dims = dimsOf(x);
    if (!x || !dims || !out || dims.length === 0) return undefined;
    const inputs: (Value | undefined)[] = [];
    for (const [i, v] of node.inputs.entries()) {
      const own = dimsOf(v);
      const row = own?.length === 1 && provablyEqual(own[0]!, dims.at(-1)!) && provablyEqual(out.at(-1)!, dims.at(-1)!);
      if (i === at) inputs.push(x);
      else if (!v || !own) return undefined;
      else if (own.length === 0 || (own.length === 1 && own[0] === 1) || row) inputs.push(v);
      else {
        const moved = reshapedExtents(own, out, dims);
        if (!moved) return undefined;
        inputs.push(builder.op('reshape', [v], { dims: moved }));
      }
    }
    const mapped = builder.op(node.op, inputs, node.attributes);
    return sameDims(dimsOf(mapped), dims) ? builder.op('reshape', [mapped], { dims: out }) : undefined;
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [6, 4]));
    const w = b.input('w', tensorType('float32', [4, 5]));
    const y = b.input('y', tensorType('float32', [2, 3, 5]));
    const product = b.op('dot', [x, w], { lhs: 'mk', rhs: 'kn', out: 'mn' });
    return { inputs: [x, w, y], outputs: [b.op('add', [b.op('reshape', [product], { dims: [2, 3, 5] }), y])] };
  },
};

/**
 * Extents of an operand that was broadcast to `from` when everything is reshaped to `to`; undefined where it repeats
 * along a part of an axis only.
 */
function reshapedExtents(own: readonly Dim[], from: readonly Dim[], to: readonly Dim[]): Dim[] | undefined {
  const aligned = [...Array.from({ length: from.length - own.length }, () => 1), ...own];
  const moved: Dim[] = [];
  let i = 0;
  let j = 0;
  while (i < from.length || j < to.length) {
    // The next runs of axes with equal products; axes of extent 1 join the run before them.
    const begin = { i, j };
    let [left, right]: [Dim, Dim] = [from[i++] ?? 1, to[j++] ?? 1];
    while (!provablyEqual(left, right)) {
      const grows = exactQuotient(right, left) !== undefined && i < from.length;
      if (grows) left = mulDims(left, from[i++]!);
      else if (j < to.length) right = mulDims(right, to[j++]!);
      else if (i < from.length) left = mulDims(left, from[i++]!);
      else return undefined;
    }
    while (i < from.length && from[i] === 1) i++;
    while (j < to.length && to[j] === 1) j++;
    const run = aligned.slice(begin.i, i);
    if (run.every((d, k) => provablyEqual(d, from[begin.i + k]!))) moved.push(...to.slice(begin.j, j));
    else if (run.every((d) => d === 1)) moved.push(...to.slice(begin.j, j).map(() => 1));
    else return undefined;
  }
  return moved;
}

const gatherOfRun: Rule = {
  name: 'gather(x, start, start + 1, …) ⇒ reshape(slice(x))',
  roots: ['gather'],
  apply(node, { builder }) {
    const indices = constantOf(node.inputs[1]);
    const [from, to] = [dimsOf(node.inputs[0]), dimsOf(node.outputs[0])];
    if (!indices || indices.size === 0 || !from || !to) return undefined;
    const numbers =
      indices.dtype === 'int64' ? Array.from(indices.data as BigInt64Array, Number) : readNumbers(indices);
    const start = numbers[0]!;
    const attribute = node.attributes['axis'] as number;
    const axis = attribute < 0 ? attribute + from.length : attribute;
    const extent = from[axis]!;
    const inside = typeof extent === 'number' && start >= 0 && start + numbers.length <= extent;
    if (!inside || !Array.from(numbers).every((n, i) => n === start + i)) return undefined;
    const run = builder.op('slice', [node.inputs[0]], {
      starts: from.map((_, a) => (a === axis ? start : 0)),
      sizes: from.map((d, a) => (a === axis ? numbers.length : d)),
      steps: from.map(() => 1),
    });
    return builder.op('reshape', [run], { dims: to });
  },
  example: (b) =>
    unaryExample(b, [5, 3], (x) =>
      b.op('gather', [x, b.constant(new Tensor('int64', [1n, 2n, 3n, 4n], [2, 2]))], { axis: 0 }),
    ),
};

const padIntoConv: Rule = {
  name: 'conv(pad(x, 0)) ⇒ conv(x) with larger pads',
  roots: ['conv'],
  apply(node, { builder }) {
    const pad = node.inputs[0]!.node;
    if (pad.op !== 'pad' || pad.attributes['mode'] !== 'constant' || !isZero(pad.inputs[1])) return undefined;
    const low = pad.attributes['low'] as readonly Dim[];
    const high = pad.attributes['high'] as readonly Dim[];
    if (
      ![...low, ...high].every((d) => typeof d === 'number' && d >= 0) ||
      low[0] !== 0 ||
      low[1] !== 0 ||
      high[0] !== 0 ||
      high[1] !== 0
    )
      return undefined;
    const n = low.length - 2;
    const pads = node.attributes['pads'] as readonly number[];
    const old = pads.length > 0 ? pads : new Array<number>(2 * n).fill(0);
    const next = old.map((p, i) => p + (i < n ? (low[i + 2] as number) : (high[i - n + 2] as number)));
    return builder.op('conv', [pad.inputs[0], ...node.inputs.slice(1)], { ...node.attributes, pads: next });
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [1, 2, 4, 4]));
    const w = b.input('w', tensorType('float32', [3, 2, 3, 3]));
    const padded = b.op('pad', [x], { low: [0, 0, 1, 0], high: [0, 0, 1, 2], mode: 'constant' });
    return {
      inputs: [x, w],
      outputs: [b.op('conv', [padded, w], { strides: [1, 1], dilations: [1, 1], pads: [0, 1, 0, 0], group: 1 })],
    };
  },
};

function isZero(v: Value | undefined): boolean {
  if (!v) return true;
  if (v.node.op !== 'constant') return false;
  const { tensor } = v.node.attributes['data'] as { tensor: Tensor };
  return tensor.size === 1 && Number((tensor.data as ArrayLike<number | bigint>)[0]) === 0;
}

export const movementAlgebra: RulePass = rulePass('movement-algebra', 'canonicalise', [
  reshapeToSame,
  reshapeOfReshape,
  transposeOfTranspose,
  identityTranspose,
  wholeSlice,
  sliceOfSlice,
  sliceOfConcat,
  concatOfOne,
  shorterChain,
  expandBeforeMap,
  rowsAsTheyLie,
  reshapeAfterMap,
  transposeAfterMap,
  castBeforeMovement,
  mapBeforeConcat,
  sliceEarly,
  gatherOfRun,
  gatheredRows,
  rotatedHalves,
  sharedKeyHeads,
  booleanMask,
  causalMask,
  padIntoConv,
]);
