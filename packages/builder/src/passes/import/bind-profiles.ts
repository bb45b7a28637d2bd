/** Binds the symbols of dynamic inputs to the ranges of the profiles: fixed extents become numbers. */

import {
  asSymbol,
  createSymbol,
  type Dim,
  DimExpression,
  type DimSymbol,
  formatDims,
  type Network,
  type PlanProfile,
  provablyEqual,
  type Steps,
  substituteSteps,
  symbolDim,
  TensorwrightError,
} from '@tensorwright/core';
import type { Profile, ProfileShape } from '../../options.js';

interface Range {
  min: number;
  opt: number;
  max: number;
}

export interface BoundNetwork {
  readonly network: Network;
  readonly profiles: readonly PlanProfile[];
  /** The optimum of each dimension that stays dynamic, by the first profile. */
  readonly optimum: ReadonlyMap<DimSymbol, number>;
}

/** @throws ERR_INVALID_OPTION naming profile, input and axis */
export function* bindProfiles(network: Network, profiles: readonly Profile[]): Steps<BoundNetwork> {
  if (profiles.length === 0) return { network, profiles: [], optimum: new Map() };
  const ranges = new Map<DimSymbol, Range>();
  const bound = profiles.map((profile, p) => bindProfile(network, profile, `profiles[${String(p)}]`, ranges));
  const replace = new Map<DimSymbol, Dim>();
  const optimum = new Map<DimSymbol, number>();
  for (const [symbol, range] of ranges) {
    const bounded = createSymbol(symbol.name, range);
    replace.set(symbol, range.min === range.max ? range.min : symbolDim(bounded));
    optimum.set(bounded, range.opt);
  }
  const graph = yield* substituteSteps(network.graph, network.builder, replace);
  return {
    profiles: bound,
    optimum,
    network: {
      ...network,
      graph,
      inputs: network.inputs.map((input, i) => ({ ...input, value: graph.inputs[i]! })),
      outputs: network.outputs.map((output, i) => ({ ...output, value: graph.outputs[i]! })),
    },
  };
}

function bindProfile(network: Network, profile: Profile, place: string, ranges: Map<DimSymbol, Range>): PlanProfile {
  const inputs: Record<string, { min: readonly number[]; opt: readonly number[]; max: readonly number[] }> = {};
  for (const name of Object.keys(profile)) {
    if (!network.inputs.some((i) => i.name === name)) {
      throw new TensorwrightError(
        'ERR_INVALID_OPTION',
        `${place}: the network has no input '${name}'; inputs: ${network.inputs.map((i) => i.name).join(', ')}`,
        { option: place, input: name },
      );
    }
  }
  // All inputs of one profile see the same symbols: a contradiction is the user's error.
  const seen = new Map<DimSymbol, Range & { input: string }>();
  for (const { name, value } of network.inputs) {
    const given = profile[name];
    if (given === undefined || value.type.kind !== 'tensor') continue;
    const shapes = normalise(given, `${place}['${name}']`);
    const dims = value.type.dims;
    if (!dims) continue;
    if (dims.length !== shapes.opt.length) {
      throw new TensorwrightError(
        'ERR_INVALID_OPTION',
        `${place}['${name}']: expected ${String(dims.length)} extents for ${formatDims(dims)}, received ${String(shapes.opt.length)}`,
        { option: place, input: name },
      );
    }
    dims.forEach((d, axis) => {
      bindAxis(d, axis, shapes, `${place}['${name}']`, name, seen);
    });
    inputs[name] = shapes;
  }
  for (const [symbol, { min, opt, max }] of seen) {
    const old = ranges.get(symbol);
    ranges.set(
      symbol,
      old ? { min: Math.min(old.min, min), opt: old.opt, max: Math.max(old.max, max) } : { min, opt, max },
    );
  }
  return { inputs };
}

function bindAxis(
  d: Dim,
  axis: number,
  shapes: ReturnType<typeof normalise>,
  place: string,
  input: string,
  seen: Map<DimSymbol, Range & { input: string }>,
): void {
  const min = shapes.min[axis]!;
  const max = shapes.max[axis]!;
  if (!(d instanceof DimExpression)) {
    if (!provablyEqual(d, min) || !provablyEqual(d, max)) {
      throw new TensorwrightError(
        'ERR_INVALID_OPTION',
        `${place}: axis ${String(axis)} is fixed at ${String(d)}, received ${String(min)} … ${String(max)}`,
        { option: place, input, axis },
      );
    }
    return;
  }
  const symbol = asSymbol(d);
  if (!symbol) return;
  const old = seen.get(symbol);
  if (old && (old.min !== min || old.max !== max)) {
    throw new TensorwrightError(
      'ERR_INVALID_OPTION',
      `${place}: '${symbol.name}' is ${String(min)} … ${String(max)} here but ${String(old.min)} … ${String(old.max)} in input '${old.input}'`,
      { option: place, input, axis },
    );
  }
  seen.set(symbol, { min, opt: shapes.opt[axis]!, max, input });
}

function normalise(
  shape: ProfileShape,
  place: string,
): { min: readonly number[]; opt: readonly number[]; max: readonly number[] } {
  const full = Array.isArray(shape)
    ? { min: shape as number[], opt: shape as number[], max: shape as number[] }
    : (shape as { min: readonly number[]; opt: readonly number[]; max: readonly number[] });
  const lists = [full.min, full.opt, full.max];
  const valid = lists.every(
    (l) => Array.isArray(l) && l.length === full.opt.length && l.every((n) => Number.isSafeInteger(n) && n >= 0),
  );
  if (!valid || full.opt.some((n, i) => n < full.min[i]! || n > full.max[i]!)) {
    throw new TensorwrightError(
      'ERR_INVALID_OPTION',
      `${place}: expected min <= opt <= max, lists of non-negative integers of one length`,
      { option: place },
    );
  }
  return { min: full.min, opt: full.opt, max: full.max };
}
