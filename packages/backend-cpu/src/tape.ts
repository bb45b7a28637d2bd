/** Scalar expressions as the native library's tape: one instruction per string, in SSA order. */

import {
  type DType,
  domainOf,
  dtypeInfo,
  isFloat,
  isInteger,
  type Scalar,
  type ScalarDomain,
} from '@tensorwright/core';

export interface PrintedTape {
  readonly instructions: readonly string[];
  /** The register of each output. */
  readonly results: readonly number[];
  /** `arg` indices of the expressions in the order of the tape's operands. */
  readonly operands: readonly number[];
}

/**
 * @param leading `arg` indices that come first among the operands, used or not: the accumulator of a contraction.
 */
export function printTape(expressions: readonly Scalar[], leading: readonly number[] = []): PrintedTape {
  const printer = new Printer(leading);
  const results = expressions.map((e) => printer.print(e));
  return { instructions: printer.instructions, results, operands: printer.operands };
}

/** Integer results of these may leave the range of a dtype below 64 bits. */
const overflowing = new Set(['add', 'sub', 'mul', 'neg', 'abs', 'shl', 'bitnot', 'pow', 'div']);

class Printer {
  readonly instructions: string[] = [];
  readonly operands: number[];
  readonly #registerOf = new Map<string, number>();
  readonly #memo = new Map<Scalar, number>();

  constructor(leading: readonly number[]) {
    this.operands = [...leading];
  }

  print(e: Scalar): number {
    const known = this.#memo.get(e);
    if (known !== undefined) return known;
    const register = this.#instruction(e);
    this.#memo.set(e, register);
    return register;
  }

  #emit(text: string): number {
    let register = this.#registerOf.get(text);
    if (register === undefined) {
      register = this.instructions.push(text) - 1;
      this.#registerOf.set(text, register);
    }
    return register;
  }

  #instruction(e: Scalar): number {
    const domain = domainOf(e.dtype);
    switch (e.op) {
      case 'arg': {
        let operand = this.operands.indexOf(e.index);
        if (operand < 0) operand = this.operands.push(e.index) - 1;
        return this.#emit(`in ${domain} ${String(operand)}`);
      }
      case 'const':
        return this.#emit(`const ${domain} ${literal(e.value, domain)}`);
      case 'select': {
        const [c, a, b] = e.args.map((x) => this.print(x));
        return this.#emit(`select ${domain} ${String(c)} ${String(a)} ${String(b)}`);
      }
      case 'cast':
        return this.#cast(this.print(e.args[0]), e.args[0].dtype, e.dtype, e.saturate, e.roundMode);
      default: {
        const from = domainOf(e.args[0].dtype);
        const args = e.args.map((x) => this.#inDomain(this.print(x), domainOf(x.dtype), from));
        const register = this.#emit(`${e.op} ${from} ${args.join(' ')}`);
        const narrows = isInteger(e.dtype) && dtypeInfo(e.dtype).bits < 64 && overflowing.has(e.op);
        return narrows ? this.#emit(`narrow ${e.dtype} ${String(register)}`) : register;
      }
    }
  }

  #inDomain(register: number, from: ScalarDomain, to: ScalarDomain): number {
    return from === to ? register : this.#emit(`convert ${to} ${from} ${String(register)}`);
  }

  /** ONNX's Cast: to bool by comparison with zero, to integers by truncation and wrapping, to narrow floats by rounding. */
  #cast(register: number, from: DType, to: DType, saturate: boolean, roundMode: string | undefined): number {
    if (to === 'bool') {
      const zero = this.#emit(`const ${domainOf(from)} 0`);
      return from === 'bool' ? register : this.#emit(`ne ${domainOf(from)} ${String(register)} ${String(zero)}`);
    }
    const moved = this.#inDomain(register, domainOf(from), domainOf(to));
    if (to === 'float32' || to === 'float64' || to === 'int64' || to === 'uint64') return moved;
    if (isFloat(to)) {
      const narrowFloat8 = dtypeInfo(to).bits <= 8;
      const mode = to === 'float8e8m0' ? ` ${roundMode ?? 'up'}` : '';
      return this.#emit(`narrow ${to} ${String(moved)}${narrowFloat8 && saturate ? ' saturate' : ''}${mode}`);
    }
    return this.#emit(`narrow ${to} ${String(moved)}`);
  }
}

function literal(value: number | bigint, domain: ScalarDomain): string {
  if (domain === 'i64' || domain === 'u64') return String(typeof value === 'bigint' ? value : Math.trunc(value));
  const n = Number(value);
  if (Number.isNaN(n)) return 'nan';
  if (!Number.isFinite(n)) return n > 0 ? 'inf' : '-inf';
  return Object.is(n, -0) ? '-0' : String(n);
}
