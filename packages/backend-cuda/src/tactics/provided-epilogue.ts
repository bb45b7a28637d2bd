/** The map nodes after a plugin's operator, computed where its kernels store an element. */

import { anchorArg, type EmitContext, type GroupView, type Layout } from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';
import { broadcastView, mergeAxes, printCoordinates, printOffset } from '../print/loop-space.js';
import { argumentsOf, printScalars, refuseScalars } from '../print/scalars.js';
import { cxxType } from '../print/types.js';
import { indexType } from '../print/views.js';
import { dtypeOf } from './operands.js';

/** Why the group is not one operator and map nodes after its one output; undefined when it is. */
export function refuseEpilogue(group: GroupView): string | undefined {
  if (group.parts.length > 0 || !group.anchor) return 'only one operator and what follows it';
  if (group.outputs.length !== 1 || group.anchor.outputs.length !== 1) return 'only one output';
  if (group.anchorInputs.includes(-1)) return 'only map nodes after the operator';
  return refuseScalars(group.expressions());
}

/**
 * `struct Epilogue`: what kernels get in place of the output's pointer. `store(index, value)` writes an element, and
 * with a `Vec` of values so many from the index on; indices count elements as they lie in memory.
 */
export function printEpilogue(group: GroupView, context: EmitContext, layout: Layout, args: Arguments): string {
  const [expression] = group.expressions();
  const anchor = anchorArg(group);
  const output = context.outputView(0)!;
  const sides = argumentsOf(expression!)
    .filter((input) => input !== anchor)
    .map((input) => ({
      input,
      type: cxxType(dtypeOf(group.node.inputs[input])!),
      view: broadcastView(context.view(input)!, output.dims),
    }));
  const views = [output, ...sides.map((s) => s.view)];
  const axes = mergeAxes(views, layout);
  const index = indexType(...views);
  const type = cxxType(dtypeOf(group.outputs[0])!);
  const offsetOf = new Map(sides.map((s, k) => [s.input, printOffset(axes, k + 1, args)]));
  const { statements, results } = printScalars([expression!], (arg) =>
    arg === anchor ? 'value' : `${args.input(arg, sides.find((s) => s.input === arg)!.type)}[${offsetOf.get(arg)!}]`,
  );
  const pointer = args.output(0, type);
  return `
struct Epilogue {
  const Arguments& a;
  template <typename V>
  TW_DEVICE ${type} compute(${index} i, V value) const {
    ${sides.length > 0 ? printCoordinates(axes, 1, index, args) : ''}
    ${statements.split('\n').join('\n    ')}
    return convert<${type}>(${results[0]!});
  }
  template <typename V>
  TW_DEVICE void store(${index} i, V value) const {
    ${pointer}[i] = compute(i, value);
  }
  template <typename V, int W>
  TW_DEVICE void store(${index} i, const Vec<V, W>& values) const {
    Vec<${type}, W> y;
#pragma unroll
    for (int k = 0; k < W; ++k) y.v[k] = compute(i + k, values.v[k]);
    store_vec(${pointer} + i, y);
  }
};
`;
}
