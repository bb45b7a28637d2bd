/** The tables of symbols and expressions of one program. */

import {
  type Dim,
  type DimSymbol,
  dimKey,
  type ExpressionIndex,
  planExpression,
  type PlanExpression,
  type PlanSymbol,
} from '@tensorwright/core';

export class ExpressionTable {
  readonly expressions: PlanExpression[] = [];
  readonly symbols: DimSymbol[] = [];
  readonly #expressionOf = new Map<string, ExpressionIndex>();
  readonly #symbolOf = new Map<DimSymbol, number>();

  index(d: Dim): ExpressionIndex {
    const key = dimKey(d);
    let index = this.#expressionOf.get(key);
    if (index === undefined) {
      index = this.expressions.length;
      this.expressions.push(planExpression(d, (s) => this.symbol(s)));
      this.#expressionOf.set(key, index);
    }
    return index;
  }

  symbol(s: DimSymbol): number {
    let index = this.#symbolOf.get(s);
    if (index === undefined) {
      index = this.symbols.length;
      this.symbols.push(s);
      this.#symbolOf.set(s, index);
    }
    return index;
  }

  planSymbols(): PlanSymbol[] {
    return this.symbols.map((s) => ({ name: s.name, min: s.min, max: Math.min(s.max, Number.MAX_SAFE_INTEGER) }));
  }
}
