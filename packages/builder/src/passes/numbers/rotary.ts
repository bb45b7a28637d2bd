/** Rotary embeddings written out in their parts. */

import { type GraphBuilder, isFloat, type Rule, Tensor, tensorType, type Value } from '@tensorwright/core';
import { chainOf, emitChain } from '../canonicalise/movement-chain.js';
import { dimsOf, sameDims, through, typeOf } from '../rules.js';

export const rotatedHalves: Rule = {
  name: 'x·c + concat(−x₂, x₁)·s ⇒ x·c + flip(x)·(∓s): one map, without the concat',
  roots: ['add'],
  apply(node, { builder }) {
    const [a, b] = node.inputs as [Value, Value];
    for (const [straight, crossed] of [
      [a, b],
      [b, a],
    ] as const) {
      if (straight.node.op !== 'mul' || crossed.node.op !== 'mul') continue;
      const at = crossed.node.inputs.findIndex((v) => v?.node.op === 'concat');
      const concat = crossed.node.inputs[at];
      const sine = crossed.node.inputs[1 - at];
      const k = straight.node.inputs.findIndex((v) => v && sameDims(dimsOf(v), dimsOf(concat)));
      const [x, cosine] = [straight.node.inputs[k], straight.node.inputs[1 - k]];
      if (!concat || !sine || !x || !cosine || !sameDims(dimsOf(x), dimsOf(node.outputs[0]))) continue;
      if (!isRotated(builder, concat, x)) continue;
      const parts = [x, cosine, sine].map((v) => halved(builder, v, dimsOf(x)!.at(-1) as number));
      if (parts.includes(undefined)) continue;
      const [apart, c, s] = parts as [Value, Value, Value];
      const dims = dimsOf(apart)!;
      const pair = dims.length - 2;
      const flipped = builder.op('slice', [apart], {
        starts: dims.map((_, axis) => (axis === pair ? 1 : 0)),
        sizes: dims,
        steps: dims.map((_, axis) => (axis === pair ? -1 : 1)),
      });
      const signs = builder.op('cast', [builder.constant(new Tensor('float32', [-1, 1], [2, 1]))], {
        to: typeOf(x).dtype,
      });
      const turned = builder.op('add', [
        builder.op('mul', [apart, c]),
        builder.op('mul', [flipped, builder.op('mul', [s, signs])]),
      ]);
      return builder.op('reshape', [turned], { dims: dimsOf(x)! });
    }
    return undefined;
  },
  example: (b) => {
    const x = b.input('x', tensorType('float32', [1, 2, 3, 4]));
    const half = (start: number): Value =>
      b.op('slice', [x], { starts: [0, 0, 0, start], sizes: [1, 2, 3, 2], steps: [1, 1, 1, 1] });
    const crossed = b.op('concat', [b.op('neg', [half(2)]), half(0)], { axis: 3 });
    const angles = b.input('angles', tensorType('float32', [1, 1, 3, 4]));
    const straight = b.op('mul', [x, b.op('cos', [angles])]);
    return { inputs: [x, angles], outputs: [b.op('add', [straight, b.op('mul', [crossed, b.op('sin', [angles])])])] };
  },
};

/** Whether `v` is the second half of the last axis of x, negated, and after it the first, however these were cut out. */
function isRotated(builder: GraphBuilder, v: Value, x: Value): boolean {
  const dims = dimsOf(x);
  const size = dims?.at(-1);
  const [high, low, more] = v.node.inputs;
  const along = v.node.op === 'concat' && v.node.attributes['axis'] === dims!.length - 1;
  if (!along || more || !low || typeof size !== 'number' || size % 2 !== 0 || !isFloat(typeOf(x).dtype)) return false;
  const last = dims!.length - 1;
  const isHalf = (part: Value | undefined, start: number): boolean => {
    const half = builder.op('slice', [x], {
      starts: dims!.map((_, axis) => (axis === last ? start : 0)),
      sizes: dims!.map((d, axis) => (axis === last ? size / 2 : d)),
      steps: dims!.map(() => 1),
    });
    return part !== undefined && canonical(builder, part) === canonical(builder, half);
  };
  return isHalf(through(high, 'neg'), size / 2) && isHalf(low, 0);
}

function canonical(builder: GraphBuilder, v: Value): Value {
  return emitChain(builder, chainOf(v), dimsOf(v)!);
}

/** The last axis as two halves. */
function halved(builder: GraphBuilder, v: Value, size: number): Value | undefined {
  const dims = dimsOf(v);
  return dims?.at(-1) === size ? builder.op('reshape', [v], { dims: [...dims.slice(0, -1), 2, size / 2] }) : undefined;
}
