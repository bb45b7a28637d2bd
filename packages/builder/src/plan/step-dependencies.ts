/**
 * What each step of a program has to come after: those that write what it reads, those that bind its extents, and those
 * that hold its inputs' values to what it relies on.
 */

import type { ExpressionIndex, PlanOperand, PlanProgram, PlanStep, PlanValue } from '@tensorwright/core';
import type { ExpressionTable } from './expressions.js';

/** Per step the earlier ones that have to run before it, of which those that others of them come after may be missing. */
export function dependenciesOf(
  steps: readonly PlanStep[],
  values: readonly PlanValue[],
  table: ExpressionTable,
): readonly ReadonlySet<number>[] {
  const binders = new Map<number, number>();
  const writers = new Map<number, number>();
  const readers = new Map<number, number[]>();
  return steps.map((step, at) => {
    const needs = new Set<number>();
    // A step without outputs is a check of the next one's inputs, which may touch anything where they do not pass.
    if (at > 0 && steps[at - 1]!.outputs.every((o) => !o)) needs.add(at - 1);
    const need = (earlier: number | undefined): void => {
      if (earlier !== undefined && earlier !== at) needs.add(earlier);
    };
    for (const symbol of symbolsOf(step, values, table)) need(binders.get(symbol));
    for (const operand of step.inputs) {
      if (!operand) continue;
      need(writers.get(operand.value));
      const others = readers.get(operand.value);
      if (others) others.push(at);
      else readers.set(operand.value, [at]);
    }
    for (const operand of step.outputs) {
      if (!operand) continue;
      need(writers.get(operand.value));
      for (const reader of readers.get(operand.value) ?? []) need(reader);
      readers.delete(operand.value);
      writers.set(operand.value, at);
      for (const [, symbol] of values[operand.value]!.binds ?? []) if (!binders.has(symbol)) binders.set(symbol, at);
    }
    return needs;
  });
}

function symbolsOf(step: PlanStep, values: readonly PlanValue[], table: ExpressionTable): Set<number> {
  const found = new Set<number>();
  const add = (expressions: readonly ExpressionIndex[] | undefined): void => {
    for (const e of expressions ?? [])
      for (const token of table.expressions[e]!)
        if (typeof token === 'string' && token.startsWith('s')) found.add(Number(token.slice(1)));
  };
  const addOperand = ({ value, offset, dims, strides }: PlanOperand): void => {
    const { dims: whole, storage } = values[value]!;
    add(whole);
    if (storage.kind === 'dims') add(storage.elements);
    add(dims);
    add(strides);
    if (offset !== undefined) add([offset]);
  };
  for (const operand of [...step.inputs, ...step.outputs]) if (operand) addOperand(operand);
  const inherited = (body: PlanProgram): readonly number[] => (body.inherits ?? []).map(([, outer]) => outer);
  for (const symbol of (step.programs ?? []).flatMap(inherited)) found.add(symbol);
  return found;
}
