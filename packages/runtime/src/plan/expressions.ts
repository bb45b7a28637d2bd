/** The plan's expressions at run time: postfix integer code over the values of symbols. */

import {
  createSymbol,
  type Dim,
  type DimSymbol,
  parsePlanExpression,
  type PlanExpression,
  type PlanProgram,
  TensorwrightError,
} from '@tensorwright/core';

/** Values of symbols by index. */
export type SymbolValues = ReadonlyMap<number, number>;

/** The value of an expression; undefined while a symbol in it has none. */
export function evaluateExpression(code: PlanExpression, symbols: SymbolValues): number | undefined {
  if (code.length === 1) {
    const [only] = code;
    return typeof only === 'number' ? only : symbols.get(Number(only!.slice(1)));
  }
  const stack: number[] = [];
  for (const c of code) {
    if (typeof c === 'number') stack.push(c);
    else if (c.startsWith('s')) {
      const value = symbols.get(Number(c.slice(1)));
      if (value === undefined) return undefined;
      stack.push(value);
    } else {
      const b = stack.pop()!;
      const a = stack.pop()!;
      stack.push(apply(c, a, b));
    }
  }
  return stack[0]!;
}

function apply(operator: string, a: number, b: number): number {
  if ((operator === 'floordiv' || operator === 'mod') && b === 0)
    throw new TensorwrightError('ERR_VALUE', 'a dimension is divided by zero');
  const value = compute(operator, a, b);
  if (!Number.isSafeInteger(value))
    throw new TensorwrightError('ERR_LIMIT_EXCEEDED', `a dimension exceeds 2^53 - 1: ${a} ${operator} ${b}`);
  return value;
}

function compute(operator: string, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '*':
      return a * b;
    case 'floordiv':
      return Math.floor(a / b);
    case 'mod':
      return a - b * Math.floor(a / b);
    case 'min':
      return Math.min(a, b);
    default:
      return Math.max(a, b);
  }
}

/** The dims of a program's values with symbols of the plan's names, for people and for checks. */
export class SymbolicDims {
  readonly symbols: readonly DimSymbol[];
  readonly #program: PlanProgram;

  constructor(program: PlanProgram) {
    this.#program = program;
    this.symbols = program.symbols.map((s) => createSymbol(s.name, s));
  }

  expression(index: number): Dim {
    return parsePlanExpression(this.#program.expressions[index]!, (i) => this.symbols[i]!);
  }

  dims(indices: readonly number[]): Dim[] {
    return indices.map((i) => this.expression(i));
  }
}
