/**
 * The one parameter of a step's kernels: a struct of 8-byte members (tensor maps: 128 bytes, first). Asking for an
 * operand or a dim adds a member, once, and gives the C++ expression to read it by; kernels call the struct `a`.
 */

import { type Dim, dimBounds, dimKey, type ScratchMemory, type Tensor } from '@tensorwright/core';
import { type TensorMap, tensorMapBytes } from './tensor-map.js';

export type Source =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'constant'; readonly tensor: Tensor }
  | { readonly kind: 'scratch'; readonly memory: ScratchMemory };

/** What a member is filled with when the step runs. */
export type Member =
  | Source
  | { readonly kind: 'dim'; readonly value: Dim }
  /** A pointer so many bytes into the step's scratch memory. */
  | { readonly kind: 'workspace'; readonly offset: Dim }
  | { readonly kind: 'map'; readonly map: TensorMap };

interface Entry {
  readonly name: string;
  readonly declaration: string;
  readonly member: Member;
}

const largestInt32 = 2 ** 31 - 1;

export class Arguments {
  readonly #entries = new Map<string, Entry>();
  #maps = 0;

  /** `const T*` to the first element of the group's i-th input. */
  input(index: number, type: string): string {
    return this.#pointer(`in${String(index)}`, `const ${type}*`, { kind: 'input', index });
  }

  /** `T*` to where the first element of the i-th output goes. */
  output(index: number, type: string): string {
    return this.#pointer(`out${String(index)}`, `${type}*`, { kind: 'output', index });
  }

  /** `const T*` to a tensor made at build time. */
  constant(tensor: Tensor, type: string): string {
    const known = [...this.#entries.values()].find((e) => e.member.kind === 'constant' && e.member.tensor === tensor);
    const name = known?.name ?? `constant${String(this.#entries.size)}`;
    return this.#pointer(name, `const ${type}*`, { kind: 'constant', tensor });
  }

  /** `T*` to memory that the steps of the node share. */
  scratch(memory: ScratchMemory, type: string): string {
    const known = [...this.#entries.values()].find((e) => e.member.kind === 'scratch' && e.member.memory === memory);
    const name = known?.name ?? `scratch${String(this.#entries.size)}`;
    return this.#pointer(name, `${type}*`, { kind: 'scratch', memory });
  }

  /** An extent or stride: a literal where it is known, else a number of the kernel's index type. */
  dim(value: Dim): string {
    if (typeof value === 'number') return literal(value);
    const key = `dim ${dimKey(value)}`;
    const name = this.#entries.get(key)?.name ?? `n${String(this.#entries.size)}`;
    this.#add(key, { name, declaration: `i64 ${name};`, member: { kind: 'dim', value } });
    const { min, max } = dimBounds(value);
    return min >= -largestInt32 && max <= largestInt32 ? `i32(a.${name})` : `a.${name}`;
  }

  /** `T*` so many bytes into the scratch memory. Offsets should be multiples of 256. */
  workspace(offset: Dim, type: string): string {
    const key = `workspace ${dimKey(offset)} ${type}`;
    const name = this.#entries.get(key)?.name ?? `work${String(this.#entries.size)}`;
    return this.#add(key, { name, declaration: `${type}* ${name};`, member: { kind: 'workspace', offset } });
  }

  /** A tensor map: a `TensorMap` that kernels take the address of. */
  tensorMap(map: TensorMap): string {
    const name = `map${String(this.#maps++)}`;
    return this.#add(name, { name, declaration: `TensorMap ${name};`, member: { kind: 'map', map } });
  }

  /** In the struct's order. */
  get members(): readonly Member[] {
    return this.#ordered().map((e) => e.member);
  }

  /** Bytes of the struct. */
  get bytes(): number {
    return this.members.reduce((sum, m) => sum + (m.kind === 'map' ? tensorMapBytes : 8), 0);
  }

  /** `struct Arguments { … };` */
  declaration(): string {
    const lines = this.#ordered().map((e) => `  ${e.declaration}`);
    // An empty struct has a size of its own in C++, which the launch would have to know.
    if (lines.length === 0) lines.push('  i64 nothing;');
    return `struct Arguments {\n${lines.join('\n')}\n};\n`;
  }

  #ordered(): Entry[] {
    const entries = [...this.#entries.values()];
    const isMap = (e: Entry): boolean => e.member.kind === 'map';
    return [...entries.filter(isMap), ...entries.filter((e) => !isMap(e))];
  }

  #pointer(name: string, type: string, member: Member): string {
    return this.#add(name, { name, declaration: `${type} ${name};`, member });
  }

  #add(key: string, entry: Entry): string {
    if (!this.#entries.has(key)) this.#entries.set(key, entry);
    return `a.${entry.name}`;
  }
}

/** A C++ literal: 32 bits where it fits. */
export function literal(value: number): string {
  const text = String(value);
  const wide = Math.abs(value) > largestInt32;
  return value < 0 ? `(${text}${wide ? 'll' : ''})` : `${text}${wide ? 'll' : ''}`;
}
