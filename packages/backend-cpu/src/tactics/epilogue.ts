/** The map nodes after a contraction as a tape whose operand 0 is the sums. */

import {
  anchorArg,
  constantOf,
  type EmittedOperand,
  type GroupView,
  type PlanAttribute,
  readNumbers,
  type Scalar,
  scalarArgs,
  Tensor,
  type TensorType,
} from '@tensorwright/core';
import { printTape } from '../tape.js';
import { widened } from './narrow.js';
import { dtypeOf } from './operands.js';

export interface Epilogue {
  readonly attributes: Readonly<Record<string, PlanAttribute>>;
  readonly sides: readonly EmittedOperand[];
  /** Of integer sums: one value a column that the kernel adds, or subtracts, before anything else. */
  readonly bias?: EmittedOperand;
}

/** @param narrow for a kernel of narrow elements, which has sums of integers in int32 or float32. */
export function epilogueOf(group: GroupView, narrow: boolean): Epilogue {
  const accumulator = anchorArg(group);
  const [expression] = group.expressions() as [Scalar];
  const integers = narrow && dtypeOf(group.anchor!.outputs[0]) === 'int32';
  const reduced = integers ? integerEpilogue(group, expression) : { expression, attributes: {} };
  const { bias } = reduced as { bias?: EmittedOperand };
  const rest = reduced.expression;
  if (rest.op === 'arg') return { attributes: reduced.attributes, sides: [], ...(bias && { bias }) };
  const tape = printTape([rest], [accumulator]);
  return {
    attributes: { ...reduced.attributes, tape: [...tape.instructions], results: [...tape.results] },
    sides: tape.operands.slice(1).map((index) => {
      const constant = narrow ? widened(group, index) : undefined;
      return constant ?? { kind: 'input', index, broadcast: true };
    }),
    ...(bias && { bias }),
  };
}

/** Takes what is added to every column out of the expression, and the cast of the sums to float32. */
function integerEpilogue(
  group: GroupView,
  expression: Scalar,
): { expression: Scalar; attributes: Readonly<Record<string, PlanAttribute>>; bias?: EmittedOperand } {
  const accumulator = anchorArg(group);
  const attributes: Record<string, PlanAttribute> = {};
  let bias: EmittedOperand | undefined;
  let rest = expression;
  const first = usersOf(rest, accumulator);
  if (first.length === 1 && group.anchorInputs[2] === undefined) {
    const [sum] = first;
    const addend = sum && addendOf(sum, accumulator);
    const operand = addend && columnOperand(group, addend);
    if (operand) {
      bias = operand;
      if (sum.op === 'sub') attributes['biasSign'] = -1;
      rest = replace(rest, new Map([[sum, { op: 'arg', index: accumulator, dtype: 'int32' }]]));
    }
  }
  const users = usersOf(rest, accumulator);
  const floats = users.length > 0 && users.every((u) => u.op === 'cast' && u.dtype === 'float32');
  attributes['sums'] = floats ? 'float32' : 'int32';
  if (floats) rest = replace(rest, new Map(users.map((u) => [u, { op: 'arg', index: accumulator, dtype: 'float32' }])));
  return { expression: rest, attributes, ...(bias && { bias }) };
}

/** The other operand of a sum or difference that begins with the accumulator. */
function addendOf(sum: Scalar, accumulator: number): Scalar | undefined {
  if (sum.op !== 'add' && sum.op !== 'sub') return undefined;
  const [a, b] = sum.args as [Scalar, Scalar];
  const isAccumulator = (e: Scalar): boolean => e.op === 'arg' && e.index === accumulator;
  if (isAccumulator(a) && !isAccumulator(b)) return b;
  return sum.op === 'add' && isAccumulator(b) && !isAccumulator(a) ? a : undefined;
}

/** An int32 operand that has one value, or one for each column of the product, as a vector of the columns. */
function columnOperand(group: GroupView, e: Scalar): EmittedOperand | undefined {
  const out = (group.anchor!.outputs[0]!.type as TensorType).dims!;
  const axis = columnAxis(group);
  const columns = axis === undefined ? undefined : out[axis];
  if (axis === undefined || typeof columns !== 'number') return undefined;
  if (e.op === 'const')
    return { kind: 'constant', tensor: new Tensor('int32', new Int32Array(columns).fill(Number(e.value)), [columns]) };
  if (e.op !== 'arg' || e.dtype !== 'int32' || e.index >= group.node.inputs.length) return undefined;
  const value = group.node.inputs[e.index]!;
  const dims = (value.type as TensorType).dims!;
  const place = axis - (out.length - dims.length);
  if (!dims.every((d, i) => (i === place ? d === columns : d === 1)) || place < 0) return undefined;
  const constant = constantOf(value);
  if (!constant) return { kind: 'input', index: e.index };
  return { kind: 'constant', tensor: new Tensor('int32', Int32Array.from(readNumbers(constant)), [columns]) };
}

/** The axis of the output that the weights' columns make; undefined where there are several or none. */
function columnAxis(group: GroupView): number | undefined {
  const anchor = group.anchor!;
  if (anchor.op === 'conv') return 1;
  const [lhs, out] = [anchor.attributes['lhs'] as string, anchor.attributes['out'] as string];
  const columns = [...out].filter((l) => !lhs.includes(l));
  return columns.length === 1 ? out.indexOf(columns[0]!) : undefined;
}

/** The nodes that read an operand. */
function usersOf(root: Scalar, index: number): Scalar[] {
  const users = new Set<Scalar>();
  const seen = new Set<Scalar>();
  const stack = [root];
  while (stack.length > 0) {
    const e = stack.pop()!;
    if (seen.has(e)) continue;
    seen.add(e);
    for (const a of scalarArgs(e)) {
      if (a.op === 'arg' && a.index === index) users.add(e);
      stack.push(a);
    }
  }
  return [...users];
}

function replace(root: Scalar, by: ReadonlyMap<Scalar, Scalar>): Scalar {
  const memo = new Map<Scalar, Scalar>(by);
  const visit = (e: Scalar): Scalar => {
    const known = memo.get(e);
    if (known) return known;
    const args = scalarArgs(e);
    const made = args.length === 0 ? e : ({ ...e, args: args.map(visit) } as unknown as Scalar);
    memo.set(e, made);
    return made;
  };
  return visit(root);
}
