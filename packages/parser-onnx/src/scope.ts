/** Names in a graph under import: the main graph, a function body, a subgraph that is inlined or becomes a region. */

import { type GraphBuilder, inferFacts, type Value } from '@tensorwright/core';

/** A name whose node could not be imported: what depends on it is skipped without a word. */
export const failed: unique symbol = Symbol('failed');

export type Binding = Value | typeof failed;

export class Scope {
  readonly #names = new Map<string, Binding>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  /** False when the name is taken in this very scope. */
  define(name: string, binding: Binding): boolean {
    if (this.#names.has(name)) return false;
    this.#names.set(name, binding);
    return true;
  }

  defines(name: string): boolean {
    return this.#names.has(name);
  }

  lookup(name: string): Binding | undefined {
    return this.#names.get(name) ?? this.outerBinding(name);
  }

  protected outerBinding(name: string): Binding | undefined {
    return this.#outer?.lookup(name);
  }
}

/** The scope of a region: outer values come in as inputs of the region. */
export class RegionScope extends Scope {
  readonly captures: Value[] = [];
  readonly captureInputs: Value[] = [];
  readonly #inner = new Map<Value, Value>();
  readonly #builder: GraphBuilder;

  constructor(outer: Scope, builder: GraphBuilder) {
    super(outer);
    this.#builder = builder;
  }

  protected override outerBinding(name: string): Binding | undefined {
    const outer = super.outerBinding(name);
    if (outer === undefined || outer === failed) return outer;
    return this.capture(outer, name);
  }

  /** Values without inputs, and small integers known as dims, are simply there; anything else becomes an input. */
  capture(outer: Value, name: string): Value {
    const { op } = outer.node;
    if (op === 'constant' || op === 'dims') return outer;
    const known = this.#inner.get(outer);
    if (known) return known;
    const inner = this.#knownDims(outer) ?? this.#newInput(outer, name);
    this.#inner.set(outer, inner);
    return inner;
  }

  #knownDims(outer: Value): Value | undefined {
    if (outer.type.kind !== 'tensor' || outer.type.dtype !== 'int64' || (outer.type.dims?.length ?? 2) > 1)
      return undefined;
    const fact = inferFacts(outer);
    if (!fact) return undefined;
    return this.#builder.dims(outer.type.dims?.length === 0 ? fact[0]! : fact);
  }

  #newInput(outer: Value, name: string): Value {
    const inner = this.#builder.input(name, outer.type);
    this.captures.push(outer);
    this.captureInputs.push(inner);
    return inner;
  }
}
