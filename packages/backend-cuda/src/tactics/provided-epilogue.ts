/** The map nodes after a plugin's operator, computed where its kernels store an element. */

import {
  anchorArg,
  type EmitContext,
  type GroupView,
  type Layout,
  type MemoryView,
  provablyDivisible,
  type TensorType,
} from '@tensorwright/core';
import type { Arguments } from '../launch/arguments.js';
import { type Axis, broadcastView, mergeAxes, printCoordinates, printOffset } from '../print/loop-space.js';
import { argumentsOf, type PrintedScalars, printScalars, refuseScalars } from '../print/scalars.js';
import { cxxType } from '../print/types.js';
import { indexType, isAligned } from '../print/views.js';
import { dtypeOf, sameExtents } from './operands.js';

/** Why the group is not one operator and map nodes after its one output; undefined when it is. */
export function refuseEpilogue(group: GroupView): string | undefined {
  if (group.parts.length > 0 || !group.anchor) return 'only one operator and what follows it';
  if (group.outputs.length !== 1 || group.anchor.outputs.length !== 1) return 'only one output';
  if (group.anchorInputs.includes(-1)) return 'only map nodes after the operator';
  const [made, stored] = [group.anchor.outputs[0]!, group.outputs[0]!].map((v) => (v.type as TensorType).dims!);
  if (!sameExtents(made!, stored!)) return 'the maps after an operator keep its extents';
  return refuseScalars(group.expressions());
}

/**
 * `struct Epilogue`: what kernels get in place of the output's pointer. `store(index, value)` writes an element, and
 * with a `Vec` of values so many from the index on, which may be any; indices count elements as they lie in memory.
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
  const pointer = args.output(0, type);
  const coordinates = sides.length > 0 ? printCoordinates(axes, 1, index, args) : '';
  const loads = sides.map((side, k) => {
    const name = `x${String(side.input)}`;
    const at = `${args.input(side.input, side.type)} + ${printOffset(axes, k + 1, args)}`;
    const repeats = axes.at(-1)!.strides[k + 1] === 0;
    return {
      input: side.input,
      one: `const ${side.type} ${name} = *(${at});`,
      many: repeats ? `const ${side.type} ${name} = *(${at});` : `const auto ${name} = load_vec<W>(${at});`,
      lane: repeats ? name : `${name}.v[k]`,
    };
  });
  const print = (value: string, of: (load: (typeof loads)[number]) => string): PrintedScalars =>
    printScalars([expression!], (arg) => (arg === anchor ? value : of(loads.find((l) => l.input === arg)!)));
  const one = print('value', ({ input }) => `x${String(input)}`);
  const many = print('values.v[k]', ({ lane }) => lane);
  const lines = (indent: string, ...texts: string[]): string =>
    texts
      .flatMap((text) => text.split('\n'))
      .filter((line) => line.trim() !== '')
      .map((line) => `${indent}${line.trim()}`)
      .join('\n');
  return `
struct Epilogue {
  const Arguments& a;
  template <typename V>
  TW_DEVICE ${type} compute(${index} i, V value) const {
${lines('    ', coordinates, ...loads.map((l) => l.one), one.statements)}
    return convert<${type}>(${one.results[0]!});
  }
  template <typename V>
  TW_DEVICE void store(${index} i, V value) const {
    ${pointer}[i] = compute(i, value);
  }
  template <typename V, int W>
  TW_DEVICE void store(${index} i, const Vec<V, W>& values) const {
    Vec<${type}, W> y;
    if constexpr (${String(sharedWidth(axes, views))} % W == 0) {
      // All that is read and written from here on lies side by side, and aligned.
      if (i % W == 0) {
${lines('        ', coordinates, ...loads.map((l) => l.many))}
#pragma unroll
        for (int k = 0; k < W; ++k) {
${lines('          ', many.statements)}
          y.v[k] = convert<${type}>(${many.results[0]!});
        }
        store_vec(${pointer} + i, y);
        return;
      }
    }
#pragma unroll
    for (int k = 0; k < W; ++k) y.v[k] = compute(i + k, values.v[k]);
    ${type}* const to = ${pointer} + i;
    if (reinterpret_cast<u64>(to) % alignof(Vec<${type}, W>) == 0) {
      store_vec(to, y);
      return;
    }
#pragma unroll
    for (int k = 0; k < W; ++k) to[k] = y.v[k];
  }
};
`;
}

/** Neighbours in memory that all operands but those that repeat have side by side and aligned: the most, up to 16. */
function sharedWidth(axes: readonly Axis[], views: readonly MemoryView[]): number {
  const inner = axes.at(-1)!;
  const dims = axes.map((axis) => axis.extent);
  const fits = (width: number): boolean =>
    provablyDivisible(inner.extent, width) &&
    views.every((view, k) => {
      if (inner.strides[k] === 0) return true;
      const merged = { offset: view.offset, dims, strides: axes.map((axis) => axis.strides[k]!) };
      return inner.strides[k] === 1 && isAligned(merged, axes.length - 1, width);
    });
  return [16, 8, 4, 2].find(fits) ?? 1;
}
