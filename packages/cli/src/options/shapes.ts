/** Shapes of inputs in trtexec's syntax: `name:1x3x224x224,other:1x128`, `*` for all inputs, `name:scalar`. */

import { InvalidArgumentError } from 'commander';
import type { Profile, ProfileShape } from '@tensorwright/builder';
import { usageError } from '../exit-codes.js';

/** By input name; '*' stands for every input without an entry. */
export type ShapeSpec = ReadonlyMap<string, readonly number[]>;

export interface ShapeOptions {
  /** The n-th occurrence of each belongs to the n-th profile. */
  readonly shapes?: readonly ShapeSpec[];
  readonly minShapes?: readonly ShapeSpec[];
  readonly optShapes?: readonly ShapeSpec[];
  readonly maxShapes?: readonly ShapeSpec[];
}

/** An option's value; occurrences are collected. */
export function shapes(text: string, previous: readonly ShapeSpec[] = []): ShapeSpec[] {
  const spec = new Map<string, readonly number[]>();
  for (const entry of text.split(',')) {
    // Names may have colons ('input:0'), extents may not.
    const colon = entry.lastIndexOf(':');
    const name = entry
      .slice(0, Math.max(0, colon))
      .trim()
      .replace(/^(['"])(.*)\1$/, '$2');
    const extents = entry.slice(colon + 1).trim();
    const valid = name !== '' && (extents === 'scalar' || /^\d+(x\d+)*$/i.test(extents));
    if (!valid)
      throw new InvalidArgumentError(
        `Expected name:1x3x224x224 (or name:scalar), separated by commas; not '${entry}'.`,
      );
    if (spec.has(name)) throw new InvalidArgumentError(`Input '${name}' is given twice.`);
    spec.set(name, extents === 'scalar' ? [] : extents.split(/x/i).map(Number));
  }
  return [...previous, spec];
}

/** An input as shapes are given for it: extents that are not numbers are names of symbols. */
export interface ShapedInput {
  readonly name: string;
  readonly dims: readonly (number | string)[] | undefined;
}

/**
 * Optimization profiles from the options; undefined without any.
 * @throws usage error for names that are no inputs, and for extents that do not fit or ascend
 */
export function profilesFrom(options: ShapeOptions, inputs: readonly ShapedInput[]): Profile[] | undefined {
  const { shapes: fixed, minShapes: min, optShapes: opt, maxShapes: max } = options;
  const given = { '--shapes': fixed, '--min-shapes': min, '--opt-shapes': opt, '--max-shapes': max };
  for (const [option, specs = []] of Object.entries(given)) for (const spec of specs) checkNames(spec, inputs, option);
  if (!min && !opt && !max) return fixed?.map((spec) => profile(inputs, (input) => lookUp(spec, input, '--shapes')));
  const count = Math.max(min?.length ?? 0, opt?.length ?? 0, max?.length ?? 0);
  return Array.from({ length: count }, (_, i) =>
    profile(inputs, (input) => {
      const given = {
        min: min?.[i] && lookUp(min[i], input, '--min-shapes'),
        opt: opt?.[i] && lookUp(opt[i], input, '--opt-shapes'),
        max: max?.[i] && lookUp(max[i], input, '--max-shapes'),
      };
      const some = given.opt ?? given.max ?? given.min;
      if (!some) return undefined;
      // What is not given lies where it restricts least: the optimum at the maximum, the ends at the optimum.
      const range = { min: given.min ?? some, opt: given.opt ?? given.max ?? some, max: given.max ?? some };
      checkRange(input, range);
      return range;
    }),
  );
}

function checkRange(input: ShapedInput, { min, opt, max }: Record<'min' | 'opt' | 'max', readonly number[]>): void {
  const isRange = [min, max].every((s) => s.length === opt.length) && opt.every((d, i) => min[i]! <= d && d <= max[i]!);
  if (isRange) return;
  const told = [min, opt, max].map((s) => s.join('x') || 'scalar').join(', ');
  throw usageError(
    `input '${input.name}': --min-shapes, --opt-shapes and --max-shapes are ${told}, which do not ascend`,
  );
}

function profile(inputs: readonly ShapedInput[], shapeOf: (input: ShapedInput) => ProfileShape | undefined): Profile {
  return Object.fromEntries(inputs.flatMap((input) => (shapeOf(input) ? [[input.name, shapeOf(input)!]] : [])));
}

function lookUp(spec: ShapeSpec, input: ShapedInput, option: string): readonly number[] | undefined {
  const own = spec.get(input.name);
  if (own) {
    checkFit(input, own, option);
    return own;
  }
  const all = spec.get('*');
  // Inputs of fixed shape need no profile, and a wildcard means those that do.
  if (!all || input.dims?.every((d) => typeof d === 'number')) return undefined;
  if (input.dims && input.dims.length !== all.length) {
    throw usageError(
      `${option}: '*' gives ${all.length} extents, but input '${input.name}' has ${input.dims.length}: name it`,
    );
  }
  return all;
}

/** @throws usage error for names that are no inputs */
function checkNames(spec: ShapeSpec, inputs: readonly ShapedInput[], option: string): void {
  for (const name of spec.keys()) {
    if (name !== '*' && !inputs.some((i) => i.name === name)) {
      throw usageError(`${option}: there is no input '${name}'; inputs: ${inputs.map((i) => i.name).join(', ')}`);
    }
  }
}

export interface ResolvedShapes {
  readonly dims: ReadonlyMap<string, readonly number[]>;
  /** Symbols that nothing decides, and that were taken to be 1. */
  readonly assumed: readonly string[];
}

/**
 * The shapes of one run: given ones, then what they say about the symbols of the other inputs, then `otherwise`
 * (a profile's optimum), then 1, as trtexec does.
 */
export function resolveShapes(
  inputs: readonly ShapedInput[],
  spec: ShapeSpec | undefined,
  otherwise: ReadonlyMap<string, readonly number[]> = new Map(),
): ResolvedShapes {
  if (spec) checkNames(spec, inputs, '--shapes');
  const symbols = new Map<string, number>();
  const given = new Map<string, readonly number[]>();
  for (const input of inputs) {
    const shape = (spec && lookUp(spec, input, '--shapes')) ?? otherwise.get(input.name);
    if (!shape) continue;
    given.set(input.name, shape);
    input.dims?.forEach((d, axis) => {
      if (typeof d === 'string' && !symbols.has(d)) symbols.set(d, shape[axis]!);
    });
  }
  const assumed = new Set<string>();
  const dims = inputs.map((input): [string, readonly number[]] => {
    const shape = given.get(input.name);
    if (shape) return [input.name, shape];
    if (!input.dims) throw usageError(`input '${input.name}' has no declared rank: give --shapes ${input.name}:…`);
    return [
      input.name,
      input.dims.map((d) => {
        if (typeof d === 'number') return d;
        if (!symbols.has(d)) assumed.add(d);
        return symbols.get(d) ?? 1;
      }),
    ];
  });
  return { dims: new Map(dims), assumed: [...assumed] };
}

function checkFit(input: ShapedInput, shape: readonly number[], option: string): void {
  if (!input.dims) return;
  const fits =
    input.dims.length === shape.length && input.dims.every((d, i) => typeof d === 'string' || d === shape[i]);
  if (!fits)
    throw usageError(
      `${option}: input '${input.name}' is [${input.dims.join(', ')}], which ${shape.length === 0 ? 'a scalar' : shape.join('x')} does not fit`,
    );
}
