/** Checks what a run is given against the plan, and takes the values of symbols from it. */

import { asSymbol, formatDims, type PlanHeader, type PlanProfile, Tensor, TensorwrightError } from '@tensorwright/core';
import { DeviceBuffer } from '../device-buffer.js';
import { evaluateExpression, type SymbolicDims } from '../plan/expressions.js';
import type { TensorInfo } from '../tensor-info.js';
import type { RunValue } from './driver.js';
import { whatIs } from './what-is.js';

export interface BoundInputs {
  /** In the order of the plan's inputs. */
  readonly values: readonly RunValue[];
  readonly symbols: Map<number, number>;
}

/** A tensor on the host or on a device. */
type Shaped = Tensor | DeviceBuffer;

/** One axis of an input: a fixed extent, a symbol, or an expression over symbols of other axes. */
type Axis = { readonly fixed: number } | { readonly symbol: number } | { readonly expression: number };

interface InputSpec {
  readonly info: TensorInfo;
  readonly axes: readonly Axis[] | undefined;
}

export class InputBinder {
  readonly #header: PlanHeader;
  readonly #specs: readonly InputSpec[];
  readonly #names: ReadonlySet<string>;

  constructor(header: PlanHeader, infos: readonly TensorInfo[], symbolic: SymbolicDims) {
    this.#header = header;
    const indexOf = new Map(symbolic.symbols.map((s, i) => [s, i]));
    const axis = (expression: number): Axis => {
      const dim = symbolic.expression(expression);
      if (typeof dim === 'number') return { fixed: dim };
      const symbol = asSymbol(dim);
      return symbol ? { symbol: indexOf.get(symbol)! } : { expression };
    };
    this.#specs = header.inputs.map(({ value }, i) => ({
      info: infos[i]!,
      axes: header.program.values[value]!.dims?.map(axis),
    }));
    this.#names = new Set(infos.map((info) => info.name));
  }

  /**
   * @param profile the one that the shapes must fit; undefined: any
   * @throws ERR_INVALID_ARGUMENT for unknown and missing names, ERR_DTYPE_MISMATCH, ERR_SHAPE_MISMATCH
   */
  bind(inputs: Readonly<Record<string, RunValue>>, profile: number | undefined): BoundInputs {
    if (typeof inputs !== 'object' || inputs === null) {
      throw new TensorwrightError('ERR_INVALID_ARGUMENT', `run: expected an object of named inputs (${this.#list()})`);
    }
    for (const name in inputs) {
      if (!this.#names.has(name)) {
        throw new TensorwrightError(
          'ERR_INVALID_ARGUMENT',
          `run: unknown input '${name}'; the engine's inputs are ${this.#list()}`,
          { input: name, expected: [...this.#names] },
        );
      }
    }
    const symbols = new Map<number, number>();
    const boundBy = new Map<number, string>();
    const values = this.#specs.map((spec) => this.#bindOne(spec, inputs[spec.info.name], symbols, boundBy));
    this.#checkExpressions(values, symbols);
    this.#checkProfiles(values, profile);
    return { values, symbols };
  }

  #list(): string {
    return this.#specs.map((s) => `'${s.info.name}'`).join(', ') || 'none';
  }

  #bindOne(
    { info, axes }: InputSpec,
    given: RunValue | undefined,
    symbols: Map<number, number>,
    boundBy: Map<number, string>,
  ): RunValue {
    if (given === undefined || given === null) {
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `run: input '${info.name}' is missing; expected ${info.type}`,
        { input: info.name, expected: info.type },
      );
    }
    if (info.dtype === undefined) return checkObject(info, given);
    const tensor = toTensor(info, given);
    if (tensor.dtype !== info.dtype) {
      throw new TensorwrightError(
        'ERR_DTYPE_MISMATCH',
        `run: input '${info.name}': expected ${info.type}, received ${tensor.dtype}`,
        { input: info.name, expected: info.dtype, received: tensor.dtype },
      );
    }
    if (!axes) return tensor;
    if (axes.length !== tensor.dims.length)
      throw mismatch(info, tensor, `rank ${tensor.dims.length} instead of ${axes.length}`);
    for (let i = 0; i < axes.length; i++) {
      const axis = axes[i]!;
      const extent = tensor.dims[i]!;
      if ('fixed' in axis) {
        if (extent !== axis.fixed) throw mismatch(info, tensor, `axis ${i} must be ${axis.fixed}`);
      } else if ('symbol' in axis) {
        this.#bindSymbol(info, tensor, i, axis.symbol, symbols, boundBy);
      }
    }
    return tensor;
  }

  #bindSymbol(
    info: TensorInfo,
    tensor: Shaped,
    axis: number,
    index: number,
    symbols: Map<number, number>,
    boundBy: Map<number, string>,
  ): void {
    const extent = tensor.dims[axis]!;
    const { name, min, max } = this.#header.program.symbols[index]!;
    const known = symbols.get(index);
    if (known === undefined) {
      if (extent < min || extent > max)
        throw mismatch(info, tensor, `axis ${axis} (${name}) must be from ${min} to ${max}`);
      symbols.set(index, extent);
      boundBy.set(index, info.name);
    } else if (known !== extent) {
      throw mismatch(info, tensor, `axis ${axis} (${name}) must be ${known}, as in input '${boundBy.get(index)!}'`);
    }
  }

  #checkExpressions(values: readonly RunValue[], symbols: Map<number, number>): void {
    this.#specs.forEach(({ info, axes }, i) => {
      axes?.forEach((axis, k) => {
        if (!('expression' in axis)) return;
        const expected = evaluateExpression(this.#header.program.expressions[axis.expression]!, symbols);
        const tensor = values[i] as Shaped;
        if (expected !== undefined && tensor.dims[k] !== expected)
          throw mismatch(info, tensor, `axis ${k} (${String(info.dims![k])}) must be ${expected}`);
      });
    });
  }

  #checkProfiles(values: readonly RunValue[], profile: number | undefined): void {
    const { profiles, inputs } = this.#header;
    if (profiles.length === 0) return;
    const candidates = profile === undefined ? profiles : [profiles[profile]!];
    const outside = candidates.map((p) =>
      firstOutside(
        p,
        inputs.map((b) => b.name),
        values,
      ),
    );
    const first = outside[0];
    if (first === undefined || outside.includes(undefined)) return;
    const info = this.#specs[first]!.info;
    const tensor = values[first] as Shaped;
    const ranges = candidates
      .flatMap((p) => p.inputs[info.name] ?? [])
      .map((r) => `${formatDims(r.min)} … ${formatDims(r.max)}`);
    throw mismatch(
      info,
      tensor,
      `${candidates.length > 1 ? 'no profile allows this shape; they allow' : 'the profile allows'} ${ranges.join(' or ')}`,
    );
  }
}

/** The index of the first input outside the profile's range. */
function firstOutside(profile: PlanProfile, names: readonly string[], values: readonly RunValue[]): number | undefined {
  const index = names.findIndex((name, i) => {
    const range = profile.inputs[name];
    const value = values[i];
    return (
      range !== undefined &&
      (value instanceof Tensor || value instanceof DeviceBuffer) &&
      value.dims.some((d, axis) => d < range.min[axis]! || d > range.max[axis]!)
    );
  });
  return index < 0 ? undefined : index;
}

function mismatch(info: TensorInfo, tensor: Shaped, why: string): TensorwrightError {
  const received = `${tensor.dtype}[${tensor.dims.join(', ')}]`;
  return new TensorwrightError(
    'ERR_SHAPE_MISMATCH',
    `run: input '${info.name}': expected ${info.type}, received ${received}: ${why}`,
    { input: info.name, expected: info.type, received: tensor.dims },
  );
}

/** Tensors of another copy of the core package are taken by their fields. */
function toTensor(info: TensorInfo, given: RunValue): Shaped {
  if (given instanceof Tensor || given instanceof DeviceBuffer) return given;
  const { dtype, dims, data } = given as Partial<Tensor>;
  if (dtype !== undefined && Array.isArray(dims) && data !== undefined) {
    try {
      return new Tensor(dtype, data, dims as readonly number[]);
    } catch (error) {
      if (!TensorwrightError.is(error)) throw error;
      const details = { ...error.details, input: info.name };
      throw new TensorwrightError(error.code, `run: input '${info.name}': ${error.message}`, details, { cause: error });
    }
  }
  const received = whatIs(given);
  throw new TensorwrightError(
    'ERR_DTYPE_MISMATCH',
    `run: input '${info.name}': expected a Tensor ${info.type}, received ${received}`,
    { input: info.name, expected: info.type, received },
  );
}

function checkObject(info: TensorInfo, given: RunValue): RunValue {
  const expected = /^(sequence|optional|map)\(/.exec(info.type)?.[1];
  if ((given as Partial<typeof given> & { kind?: string }).kind === expected) return given;
  const received = whatIs(given);
  throw new TensorwrightError(
    'ERR_DTYPE_MISMATCH',
    `run: input '${info.name}': expected ${info.type}, received ${received}`,
    { input: info.name, expected: info.type, received },
  );
}
