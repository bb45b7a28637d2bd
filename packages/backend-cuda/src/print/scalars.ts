/**
 * Scalar expressions as C++: statements in SSA order and the name of each result. Values are computed in the domain of
 * their dtype (f32, f64, i64, u64), as on the CPU; results are in their domain, to be converted when they are stored.
 */

import {
  type DType,
  domainOf,
  dtypeInfo,
  isFloat,
  isInteger,
  type Scalar,
  scalarArgs,
  type ScalarDomain,
} from '@tensorwright/core';
import { coarseOperations } from './coarse.js';
import { storedType } from './types.js';

export interface PrintedScalars {
  readonly statements: string;
  /** C++ names, one for each expression. */
  readonly results: readonly string[];
}

/** @param read C++ for an operand's element, in its stored type or its domain; called once for each operand used */
export function printScalars(
  expressions: readonly Scalar[],
  read: (arg: number, dtype: DType) => string,
  prefix = 't',
): PrintedScalars {
  const printer = new Printer(read, prefix, coarseOperations(expressions));
  const results = expressions.map((e) => printer.printRoot(e));
  return { statements: printer.lines.join('\n'), results };
}

/** The operands that an expression reads, in the order in which it does. */
export function argumentsOf(e: Scalar): number[] {
  const found = new Set<number>();
  const seen = new Set<Scalar>();
  const visit = (x: Scalar): void => {
    if (seen.has(x)) return;
    seen.add(x);
    if (x.op === 'arg') found.add(x.index);
    else scalarArgs(x).forEach(visit);
  };
  visit(e);
  return [...found];
}

/** Why these expressions cannot run on the device; undefined when they can. */
export function refuseScalars(expressions: readonly Scalar[]): string | undefined {
  const seen = new Set<Scalar>();
  const stack = [...expressions];
  while (stack.length > 0) {
    const e = stack.pop()!;
    if (seen.has(e)) continue;
    seen.add(e);
    if (storedType(e.dtype) === undefined) return `no kernels compute ${e.dtype}`;
    if (e.op !== 'arg' && e.op !== 'const') stack.push(...e.args);
  }
  return undefined;
}

type CastScalar = Extract<Scalar, { op: 'cast' }>;

/** Integer results of these may leave the range of a dtype below 64 bits. */
const overflowing = new Set(['add', 'sub', 'mul', 'neg', 'abs', 'shl', 'bitnot', 'pow', 'div']);

class Printer {
  readonly lines: string[] = [];
  readonly #read: (arg: number, dtype: DType) => string;
  readonly #prefix: string;
  readonly #coarse: ReadonlySet<Scalar>;
  readonly #memo = new Map<Scalar, string>();
  readonly #byText = new Map<string, string>();

  constructor(read: (arg: number, dtype: DType) => string, prefix: string, coarse: ReadonlySet<Scalar>) {
    this.#read = read;
    this.#prefix = prefix;
    this.#coarse = coarse;
  }

  print(e: Scalar): string {
    const known = this.#memo.get(e);
    if (known !== undefined) return known;
    const name = this.#compute(e);
    this.#memo.set(e, name);
    return name;
  }

  /** What is stored is rounded by storing it, so the cast at the end need not. */
  printRoot(e: Scalar): string {
    const rounds = e.op === 'cast' && (e.dtype === 'float16' || e.dtype === 'bfloat16');
    return rounds && domainOf(e.args[0].dtype) === 'f32' ? this.print(e.args[0]) : this.print(e);
  }

  #emit(type: string, text: string): string {
    const key = `${type} ${text}`;
    let name = this.#byText.get(key);
    if (name === undefined) {
      name = `${this.#prefix}${String(this.lines.length)}`;
      this.lines.push(`const ${type} ${name} = ${text};`);
      this.#byText.set(key, name);
    }
    return name;
  }

  #compute(e: Scalar): string {
    const domain = domainOf(e.dtype);
    switch (e.op) {
      case 'arg':
        return this.#emit(domain, `convert<${domain}>(${this.#read(e.index, e.dtype)})`);
      case 'const':
        return this.#emit(domain, constant(e.value, domain));
      case 'select': {
        const [c, a, b] = e.args.map((x) => this.print(x));
        return this.#emit(domain, `${c!} != 0 ? ${a!} : ${b!}`);
      }
      case 'cast':
        return this.#cast(this.print(e.args[0]), e.args[0].dtype, e);
      default: {
        const from = domainOf(e.args[0].dtype);
        const args = e.args.map((x) => this.#inDomain(this.print(x), domainOf(x.dtype), from));
        const divisor = e.op === 'div' && e.args[1].op === 'const' ? Math.fround(1 / Number(e.args[1].value)) : 0;
        if (this.#coarse.has(e) && divisor !== 0 && Number.isFinite(divisor))
          return this.#emit(domain, `${args[0]!} * ${constant(divisor, domain)}`);
        const called = `${this.#coarse.has(e) ? 'coarse' : 'scalar'}_${e.op}`;
        const result = this.#emit(domain, `${called}(${args.join(', ')})`);
        const narrows = isInteger(e.dtype) && dtypeInfo(e.dtype).bits < 64 && overflowing.has(e.op);
        return narrows ? this.#narrow(result, e.dtype) : result;
      }
    }
  }

  #inDomain(name: string, from: ScalarDomain, to: ScalarDomain): string {
    return from === to ? name : this.#emit(to, `convert<${to}>(${name})`);
  }

  /** To what the dtype can hold, still in its domain. */
  #narrow(name: string, dtype: DType): string {
    const domain = domainOf(dtype);
    return this.#emit(domain, `convert<${domain}>(convert<${storedType(dtype)!}>(${name}))`);
  }

  /** ONNX's Cast: to bool by comparison with zero, to integers by truncation and wrapping, to narrow floats by rounding. */
  #cast(name: string, from: DType, { dtype: to, saturate, roundMode }: CastScalar): string {
    if (to === 'bool') return from === 'bool' ? name : this.#emit('i64', `${name} != 0`);
    if (isFloat(to) && dtypeInfo(to).bits === 8) {
      const how = [String(saturate), ...(roundMode === undefined ? [] : [`ScaleRound::${roundMode}`])].join(', ');
      return this.#emit('f32', `${storedType(to)!}::from<${how}>(convert<f64>(${name}))`);
    }
    // 16-bit floats are rounded from the source itself: by way of float32 they would be rounded twice.
    if (isFloat(to) && dtypeInfo(to).bits < 32) return this.#narrow(name, to);
    const moved = this.#inDomain(name, domainOf(from), domainOf(to));
    return dtypeInfo(to).bits >= 64 || isFloat(to) ? moved : this.#narrow(moved, to);
  }
}

function constant(value: number | bigint, domain: ScalarDomain): string {
  if (domain === 'i64' || domain === 'u64') {
    const n = typeof value === 'bigint' ? value : BigInt(Math.trunc(value));
    if (domain === 'u64') return `${String(BigInt.asUintN(64, n))}ull`;
    return n === -(2n ** 63n) ? '(-9223372036854775807ll - 1)' : `${String(n)}ll`;
  }
  const n = Number(value);
  if (Number.isNaN(n)) return domain === 'f32' ? 'bit_cast<f32>(0x7fc00000u)' : 'bit_cast<f64>(0x7ff8000000000000ull)';
  if (!Number.isFinite(n)) {
    const infinity = domain === 'f32' ? 'bit_cast<f32>(0x7f800000u)' : 'bit_cast<f64>(0x7ff0000000000000ull)';
    return n > 0 ? infinity : `-${infinity}`;
  }
  const rounded = domain === 'f32' ? Math.fround(n) : n;
  if (!Number.isFinite(rounded)) return constant(rounded, domain);
  const text = Object.is(rounded, -0) ? '-0.0' : String(rounded);
  const literal = /[.e]/.test(text) ? text : `${text}.0`;
  return domain === 'f32' ? `${literal}f` : literal;
}
