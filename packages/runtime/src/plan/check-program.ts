/** How the parts of a plan program refer to each other: every index, size and expression, before anything is used. */

import {
  byteLength,
  elementCount,
  type PlanExpression,
  type PlanOperand,
  type PlanProgram,
  type PlanStep,
  type PlanValue,
} from '@tensorwright/core';
import { type Problem, within } from './check.js';

const operators = new Set<unknown>(['+', '*', 'floordiv', 'mod', 'min', 'max']);
/** As in the native executor. */
const maxRank = 12;
const maxNesting = 64;

/** @param weightsBytes length of the weights section */
export function checkProgram(program: PlanProgram, weightsBytes: number): Problem | undefined {
  return new ProgramCheck(program, weightsBytes, undefined, 0).run();
}

class ProgramCheck {
  readonly #program: PlanProgram;
  readonly #weightsBytes: number;
  readonly #enclosing: PlanProgram | undefined;
  readonly #depth: number;

  constructor(program: PlanProgram, weightsBytes: number, enclosing: PlanProgram | undefined, depth: number) {
    this.#program = program;
    this.#weightsBytes = weightsBytes;
    this.#enclosing = enclosing;
    this.#depth = depth;
  }

  run(): Problem | undefined {
    const { symbols, expressions, values, inputs, outputs, steps, inherits = [], agreements = [] } = this.#program;
    return (
      each('.symbols', symbols, (s) =>
        s.min <= s.max ? undefined : wrong('.max', `${s.max} is below min, ${s.min}`),
      ) ??
      each('.inherits', inherits, ([own, outer]) => {
        if (!this.#enclosing) return wrong('', 'the outermost program has nothing to inherit from');
        return (
          this.#index('[0]', own, symbols, 'symbols') ??
          this.#index('[1]', outer, this.#enclosing.symbols, 'enclosing symbols')
        );
      }) ??
      each('.expressions', expressions, (e) => this.#expression(e)) ??
      each(
        '.agreements',
        agreements,
        ({ left, right }) =>
          this.#index('.left', left, expressions, 'expressions') ??
          this.#index('.right', right, expressions, 'expressions'),
      ) ??
      each('.values', values, (v, i) => this.#value(v, i)) ??
      each('.inputs', inputs, (v, i) => this.#input(v, i)) ??
      each('.outputs', outputs, (v) => this.#index('', v, values, 'values')) ??
      each('.steps', steps, (s) => this.#step(s)) ??
      this.#segments()
    );
  }

  #index(path: string, i: number, of: readonly unknown[], what: string): Problem | undefined {
    return i < of.length ? undefined : wrong(path, `${i} is out of range: there are ${of.length} ${what}`);
  }

  #indices(path: string, list: readonly number[] | undefined): Problem | undefined {
    return list && each(path, list, (i) => this.#index('', i, this.#program.expressions, 'expressions'));
  }

  #expression(code: PlanExpression): Problem | undefined {
    let depth = 0;
    for (let i = 0; i < code.length; i++) {
      const c = code[i]!;
      if (typeof c === 'number') depth++;
      else if (/^s(0|[1-9]\d{0,8})$/.test(c)) {
        const bad = this.#index(`[${String(i)}]`, Number(c.slice(1)), this.#program.symbols, 'symbols');
        if (bad) return bad;
        depth++;
      } else if (!operators.has(c)) return wrong(`[${String(i)}]`, `unknown operator '${c}'`);
      else if (depth-- < 2) return wrong(`[${String(i)}]`, `'${c}' lacks operands`);
    }
    return depth === 1 ? undefined : wrong('', `leaves ${depth} values instead of one`);
  }

  #value(v: PlanValue, i: number): Problem | undefined {
    const { storage, dtype, dims } = v;
    const bad = this.#indices('.dims', dims) ?? this.#order(v) ?? this.#binds(v);
    if (bad) return bad;
    if ((dims?.length ?? 0) > maxRank) return wrong('.dims', `rank ${dims!.length} exceeds ${maxRank}`);
    switch (storage.kind) {
      case 'input':
        return this.#program.inputs[storage.index] === i
          ? undefined
          : wrong('.storage.index', `input ${storage.index} is not this value`);
      case 'constant':
        return this.#constant(v, storage.offset, storage.bytes);
      case 'arena':
        if (!dtype || !dims) return wrong('', 'a value in the arena needs a dtype and dims');
        return this.#inArena(v, storage.offset + storage.bytes);
      case 'dims':
        if (dtype !== 'int64' || !dims) return wrong('.dtype', "a value of dims is 'int64' with known dims");
        return this.#indices('.storage.elements', storage.elements) ?? this.#elements(dims, storage.elements.length);
      case 'object':
        if (!storage.strings) return undefined;
        if (dtype !== 'string' || !dims) return wrong('.dtype', "a constant of strings is 'string' with known dims");
        return this.#elements(dims, storage.strings.length);
      case 'heap':
        return dtype ? undefined : wrong('.dtype', 'a value in memory needs a dtype');
    }
  }

  #inArena({ memory }: PlanValue, end: number): Problem | undefined {
    const { arenaBytes, deviceArenaBytes = 0 } = this.#program;
    const bytes = memory ? deviceArenaBytes : arenaBytes;
    return end <= bytes ? undefined : wrong('.storage', `ends beyond the arena of ${bytes} bytes`);
  }

  #constant(v: PlanValue, offset: number, bytes: number): Problem | undefined {
    if (!v.dtype || v.dtype === 'string' || !v.dims) return wrong('', 'a constant needs a numeric dtype and dims');
    if (bytes > this.#weightsBytes - offset) {
      return wrong('.storage', `ends beyond the weights section of ${this.#weightsBytes} bytes`);
    }
    const extents = v.dims.map((d) => this.#static(d));
    if (!extents.every((d) => d !== undefined)) return wrong('.dims', 'a constant has fixed dims');
    const expected = byteLength(v.dtype, elementCount(extents));
    return bytes === expected ? undefined : wrong('.storage.bytes', `expected ${expected}, received ${bytes}`);
  }

  #elements(dims: readonly number[], count: number): Problem | undefined {
    const extents = dims.map((d) => this.#static(d));
    if (extents.every((d) => d !== undefined) && elementCount(extents) === count) return undefined;
    return wrong('.dims', `do not hold ${count} elements`);
  }

  #static(expression: number): number | undefined {
    const code = this.#program.expressions[expression]!;
    const [only] = code;
    return code.length === 1 && typeof only === 'number' && only >= 0 ? only : undefined;
  }

  #order({ order, dims }: PlanValue): Problem | undefined {
    if (!order) return undefined;
    const axes = new Set(order);
    const fits = dims?.length === order.length && axes.size === order.length && order.every((a) => a < order.length);
    return fits ? undefined : wrong('.order', 'is no permutation of the axes');
  }

  #binds({ binds, dims }: PlanValue): Problem | undefined {
    return (
      binds &&
      each('.binds', binds, ([axis, symbol]) => {
        if (axis >= (dims?.length ?? 0)) return wrong('[0]', `${axis} is no axis of the value`);
        return this.#index('[1]', symbol, this.#program.symbols, 'symbols');
      })
    );
  }

  #input(value: number, i: number): Problem | undefined {
    const bad = this.#index('', value, this.#program.values, 'values');
    if (bad) return bad;
    const { storage, order } = this.#program.values[value]!;
    if (order && !this.#enclosing) return wrong('', 'inputs of a plan are row-major');
    if (storage.kind === 'object' || (storage.kind === 'input' && storage.index === i)) return undefined;
    return wrong('', `value ${value} is not stored as input ${i}`);
  }

  #operand(operand: PlanOperand): Problem | undefined {
    const { values, expressions } = this.#program;
    const bad =
      this.#index('.value', operand.value, values, 'values') ??
      this.#indices('.dims', operand.dims) ??
      this.#indices('.strides', operand.strides);
    if (bad) return bad;
    if (operand.offset !== undefined) {
      const out = this.#index('.offset', operand.offset, expressions, 'expressions');
      if (out) return out;
    }
    const view = operand.offset !== undefined || operand.dims !== undefined || operand.strides !== undefined;
    if (!view) return undefined;
    if (!operand.dims || !operand.strides) return wrong('', 'a view has dims and strides');
    if (operand.dims.length !== operand.strides.length) return wrong('.strides', 'dims and strides differ in length');
    const { dtype, dims } = values[operand.value]!;
    return dtype && dims ? undefined : wrong('', 'a view of a value without dtype or dims');
  }

  #step(step: PlanStep): Problem | undefined {
    const operand = (o: PlanOperand | null): Problem | undefined => (o ? this.#operand(o) : undefined);
    const bad =
      each('.inputs', step.inputs, operand) ??
      each('.outputs', step.outputs, (o) => (o ? (this.#operand(o) ?? this.#written(o)) : undefined));
    if (bad || !step.programs) return bad;
    if (this.#depth >= maxNesting) return wrong('.programs', `programs are nested more than ${maxNesting} deep`);
    return each('.programs', step.programs, (p) =>
      new ProgramCheck(p, this.#weightsBytes, this.#program, this.#depth + 1).run(),
    );
  }

  #written({ value }: PlanOperand): Problem | undefined {
    const { kind } = this.#program.values[value]!.storage;
    return kind === 'arena' || kind === 'heap' || kind === 'object'
      ? undefined
      : wrong('.value', `value ${value} is stored as '${kind}' and cannot be written`);
  }

  /** Segments follow each other and cover all steps. */
  #segments(): Problem | undefined {
    const { segments, steps } = this.#program;
    let at = 0;
    const bad = each('.segments', segments, (s) => {
      if (s.begin !== at) return wrong('.begin', `expected ${at}, received ${s.begin}`);
      if (s.end <= s.begin || s.end > steps.length)
        return wrong('.end', `${s.end} is out of range: there are ${steps.length} steps`);
      at = s.end;
      return undefined;
    });
    return bad ?? (at === steps.length ? undefined : wrong('.segments', `cover ${at} of ${steps.length} steps`));
  }
}

function wrong(path: string, message: string): Problem {
  return { path, message };
}

function each<T>(
  path: string,
  list: readonly T[],
  check: (item: T, index: number) => Problem | undefined,
): Problem | undefined {
  for (let i = 0; i < list.length; i++) {
    const bad = check(list[i]!, i);
    if (bad) return within(`${path}[${String(i)}]`, bad);
  }
  return undefined;
}
