/** Shape folding: whatever is known of small integer tensors becomes a constant or a tensor of dims. */

import { type Dim, inferFacts, padsOf, type Rule, Tensor, tensorType, type Value } from '@tensorwright/core';
import { dimsOf, rulePass, type RulePass, typeOf, unaryExample } from '../rules.js';

const knownElements: Rule = {
  name: 'an integer tensor whose elements are known ⇒ a constant, or a tensor of dims',
  roots: undefined,
  apply(node, { builder }) {
    if (node.op === 'constant' || node.op === 'input' || node.op === 'group' || node.outputs.length !== 1)
      return undefined;
    const v = node.outputs[0]!;
    if (v.type.kind !== 'tensor') return undefined;
    const facts = inferFacts(v);
    if (!facts) return undefined;
    const dims = dimsOf(v) as number[];
    if (facts.every((d) => typeof d === 'number')) {
      const values =
        typeOf(v).dtype === 'int64' || typeOf(v).dtype === 'uint64' ? facts.map((d) => BigInt(d)) : (facts as number[]);
      return builder.constant(new Tensor(typeOf(v).dtype, values, dims));
    }
    if (node.op === 'dims' || typeOf(v).dtype !== 'int64') return undefined;
    const flat = builder.dims(facts);
    return dims.length === 1 ? flat : builder.op('reshape', [flat], { dims });
  },
  example: (b) => unaryExample(b, [2, 3], (x) => b.op('add', [x, b.op('cast', [b.dims(3)], { to: 'float32' })])),
};

const gatherOfConstant: Rule = {
  name: 'gather(x, constant run of indices) ⇒ slice(x)',
  roots: ['gather'],
  apply(node, { builder }) {
    const [x, indices] = node.inputs as [Value, Value];
    const dims = dimsOf(x);
    const known = indices.node.op === 'constant' ? inferFacts(indices) : undefined;
    if (!dims || !known || known.length === 0) return undefined;
    const axis = node.attributes['axis'] as number;
    const at = axis < 0 ? axis + dims.length : axis;
    const extent = dims[at];
    const start = known[0] as number;
    // Negative indices count from the end, which must then be known.
    const first = start >= 0 ? start : typeof extent === 'number' ? start + extent : undefined;
    if (first === undefined || known.some((k, i) => (k as number) !== start + i)) return undefined;
    if (typeof extent === 'number' && (first < 0 || first + known.length > extent)) return undefined;
    if (typeof extent !== 'number') return undefined;
    const sizes: Dim[] = dims.map((d, i) => (i === at ? known.length : d));
    const slice = builder.op('slice', [x], {
      starts: dims.map((_, i) => (i === at ? first : 0)),
      sizes,
      steps: dims.map(() => 1),
    });
    return builder.op('reshape', [slice], { dims: dimsOf(node.outputs[0])! });
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [3, 4]));
    return { inputs: [x], outputs: [b.op('gather', [x, b.constant(new Tensor('int64', [1], []))], { axis: 0 })] };
  },
};

const knownPads: Rule = {
  name: 'padDynamic(x, pads that are known) ⇒ pad(x), or x',
  roots: ['padDynamic'],
  apply(node, { builder }) {
    const [x, pads, value, axes] = node.inputs;
    const dims = dimsOf(x);
    const known = pads && inferFacts(pads);
    if (!x || !dims || !known) return undefined;
    const chosen = axes ? inferFacts(axes) : dims.map((_, i) => i);
    if (!chosen?.every((a) => typeof a === 'number')) return undefined;
    const both = padsOf(known, chosen, dims.length);
    if (typeof both === 'string') return undefined;
    const { low, high } = both;
    if ([...low, ...high].every((p) => p === 0)) return x;
    return builder.op('pad', [x, value], { low, high, mode: node.attributes['mode'] as string });
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [3, 4]));
    const pads = b.constant(new Tensor('int64', [1, 2], [2]));
    return {
      inputs: [x],
      outputs: [b.op('padDynamic', [x, pads, undefined, b.constant(new Tensor('int64', [-1], [1]))])],
    };
  },
};

export const shapeFolding: RulePass = rulePass('shape-folding', 'canonicalise', [
  knownElements,
  gatherOfConstant,
  knownPads,
]);
