/** Finds the places of a graph that a pattern describes. */

import {
  type AttributeCondition,
  type AttributeValue,
  type ConstantCondition,
  type ConstantData,
  constantDataOf,
  type DType,
  type Node,
  type PatternMatch,
  type PatternNode,
  readNumbers,
  type SubgraphPattern,
  type Tensor,
  type TensorType,
  type Value,
} from '@tensorwright/core';

export interface FoundPattern {
  readonly pattern: SubgraphPattern;
  /** By the pattern's names; undefined for omitted operands. */
  readonly values: ReadonlyMap<string, Value>;
  readonly nodes: ReadonlySet<Node>;
  readonly match: PatternMatch;
}

export type UsersOf = (value: Value) => readonly Node[];

const commutative: ReadonlySet<string> = new Set(['add', 'mul', 'min', 'max', 'and', 'or', 'xor', 'equal']);
/** Constants may be rounded to their dtype. */
const tolerances: Partial<Record<DType, number>> = { float16: 2 ** -10, bfloat16: 2 ** -7, float64: 1e-12 };

/** The place whose node stands for the pattern's last one; undefined where there is none. */
export function matchAt(pattern: SubgraphPattern, root: Node, usersOf: UsersOf): FoundPattern | undefined {
  const last = pattern.nodes.at(-1)!;
  return bind(new Search(pattern, usersOf), last, root, (search) => search.rest());
}

type Continue = (search: Search) => FoundPattern | undefined;

/** Takes `node` for a pattern's node, with its operands in either order where that does not matter. */
function bind(search: Search, wanted: PatternNode, node: Node, go: Continue): FoundPattern | undefined {
  if (node.op !== wanted.op || !attributesFit(wanted, node)) return undefined;
  const orders = [wanted.inputs];
  if (commutative.has(node.op)) orders.push([...wanted.inputs].reverse());
  for (const names of orders) {
    const next = search.with(wanted, names, node);
    const found = next && go(next);
    if (found) return found;
  }
  return undefined;
}

/** What is bound so far. Immutable: a wrong turn is left behind. */
class Search {
  readonly #pattern: SubgraphPattern;
  readonly #usersOf: UsersOf;
  readonly #values: ReadonlyMap<string, Value>;
  readonly #nodes: ReadonlyMap<PatternNode, Node>;

  constructor(
    pattern: SubgraphPattern,
    usersOf: UsersOf,
    values: ReadonlyMap<string, Value> = new Map(),
    nodes: ReadonlyMap<PatternNode, Node> = new Map(),
  ) {
    this.#pattern = pattern;
    this.#usersOf = usersOf;
    this.#values = values;
    this.#nodes = nodes;
  }

  with(wanted: PatternNode, names: readonly string[], node: Node): Search | undefined {
    const values = new Map(this.#values);
    const take = (name: string, value: Value | undefined): boolean => {
      if (name === '' || !value) return name === '' && !value;
      const known = values.get(name);
      if (known) return known === value;
      const condition = this.#pattern.constants[name];
      if (condition !== undefined && !constantFits(condition, constantDataOf(value))) return false;
      values.set(name, value);
      return true;
    };
    const count = Math.max(names.length, node.inputs.length);
    for (let i = 0; i < count; i++) if (!take(names[i] ?? '', node.inputs[i])) return undefined;
    for (const [i, name] of wanted.outputs.entries()) if (name !== '' && !take(name, node.outputs[i])) return undefined;
    return new Search(this.#pattern, this.#usersOf, values, new Map(this.#nodes).set(wanted, node));
  }

  /** Goes on with a node that is connected to what is bound. */
  rest(): FoundPattern | undefined {
    const open = this.#pattern.nodes.filter((n) => !this.#nodes.has(n));
    if (open.length === 0) return this.#finish();
    for (const wanted of open) {
      const candidates = this.#candidates(wanted);
      if (!candidates) continue;
      for (const node of candidates) {
        const found = bind(this, wanted, node, (search) => search.rest());
        if (found) return found;
      }
      return undefined;
    }
    return undefined;
  }

  /** undefined: nothing of it is bound yet. */
  #candidates({ inputs, outputs }: PatternNode): readonly Node[] | undefined {
    const made = outputs.map((name) => this.#values.get(name)).find((v) => v !== undefined);
    if (made) return [made.node];
    const read = inputs.map((name) => this.#values.get(name)).find((v) => v !== undefined);
    return read && this.#usersOf(read);
  }

  #finish(): FoundPattern | undefined {
    const tensors: Record<string, TensorType> = {};
    const constants: Record<string, Tensor> = {};
    for (const [name, value] of this.#values) {
      if (value.type.kind !== 'tensor') return undefined;
      tensors[name] = value.type;
      if (this.#pattern.constants[name] !== undefined) constants[name] = constantDataOf(value)!.tensor;
    }
    const attributes = Object.fromEntries([...this.#nodes].map(([p, node]) => [p.outputs[0]!, node.attributes]));
    const match = { tensors, constants, attributes };
    if (!this.#pattern.accepts(match)) return undefined;
    return { pattern: this.#pattern, values: this.#values, nodes: new Set(this.#nodes.values()), match };
  }
}

function attributesFit({ attributes = {} }: PatternNode, node: Node): boolean {
  return Object.entries(attributes).every(([name, condition]) => attributeFits(condition, node.attributes[name]));
}

function attributeFits(condition: AttributeCondition, value: AttributeValue | undefined): boolean {
  if (typeof condition === 'function') return condition(value);
  if (!Array.isArray(condition)) return value === condition;
  const wanted = condition as readonly unknown[];
  return Array.isArray(value) && value.length === wanted.length && wanted.every((x, i) => value[i] === x);
}

function constantFits(condition: ConstantCondition, data: ConstantData | undefined): boolean {
  if (!data) return false;
  if (condition === true) return true;
  if (typeof condition === 'function') return condition(data.tensor);
  const wanted = typeof condition === 'number' ? [condition] : condition;
  const count = data.dims.reduce((n, d) => n * d, 1);
  // A number stands for tensors of any size, which need not be read in vain.
  if (data.dtype === 'string' || (typeof condition === 'number' ? count === 0 : count !== wanted.length)) return false;
  const tolerance = tolerances[data.dtype] ?? 1e-6;
  return readNumbers(data.tensor).every((x, i) => {
    const w = wanted[typeof condition === 'number' ? 0 : i]!;
    return Object.is(x, w) || Math.abs(x - w) <= tolerance * Math.abs(w);
  });
}
