/** Conditionals and loops of a network definition: bodies are functions of tensors, called while the network is defined. */

import type { DimSymbol } from '../dim.js';
import type { Graph, Value } from '../graph.js';
import { scannedElement } from '../operators/control.js';
import { widenedType } from '../operators/region-types.js';
import { topologicalOrder } from '../order.js';
import { formatType, tensorType, type Type } from '../type.js';
import type { LayerBuilder } from './layers.js';
import { NetworkTensor } from './tensor.js';

/** A graph of its own; values of the surrounding network must come in as inputs. */
function region(l: LayerBuilder, inputs: readonly Value[], outputs: readonly NetworkTensor[]): Graph {
  const graph: Graph = { inputs, outputs: outputs.map((t) => l.value(t, 'a result of the body')) };
  const own = new Set(inputs.map((v) => v.node));
  const foreign = topologicalOrder(graph).find((node) => node.op === 'input' && !own.has(node));
  if (foreign)
    l.fail(
      `the body uses '${foreign.attributes['name'] as string}' of the surrounding network: list it among the captures`,
    );
  return graph;
}

function formals(l: LayerBuilder, types: readonly Type[]): NetworkTensor[] {
  return types.map((type, i) => new NetworkTensor(l.graph.input(`${l.name}.${String(i)}`, type)));
}

export type Body = (...captures: NetworkTensor[]) => readonly NetworkTensor[];

export function conditional(
  l: LayerBuilder,
  condition: Value,
  captures: readonly Value[],
  branches: readonly [Body, Body],
): NetworkTensor[] {
  const regions = branches.map((branch) => {
    const inputs = formals(
      l,
      captures.map((v) => v.type),
    );
    return region(
      l,
      inputs.map((t) => t.value),
      branch(...inputs),
    );
  });
  return l.nodes('if', [condition, ...captures], {}, regions).map((v) => new NetworkTensor(v));
}

export interface LoopIteration {
  /** int64 scalar, from 0. */
  readonly iteration: NetworkTensor;
  readonly carried: readonly NetworkTensor[];
  readonly scanned: readonly NetworkTensor[];
  readonly captures: readonly NetworkTensor[];
}

export interface LoopResult {
  /** Whether another iteration follows; omitted: only the trip count ends the loop. */
  readonly condition?: NetworkTensor;
  /** Next values of the carried tensors, in order. */
  readonly carried: readonly NetworkTensor[];
  /** Tensors that are stacked, one slice per iteration. */
  readonly stacked?: readonly NetworkTensor[];
}

export interface LoopParts {
  readonly tripCount: Value | undefined;
  readonly condition: Value | undefined;
  readonly carried: readonly Value[];
  readonly captures: readonly Value[];
}

export function loop(
  l: LayerBuilder,
  parts: LoopParts,
  body: (it: LoopIteration) => LoopResult,
): { carried: NetworkTensor[]; stacked: NetworkTensor[] } {
  const { carried, captures } = parts;
  if (!parts.tripCount && !parts.condition) l.fail('a trip count or a condition is needed');
  const lead = [tensorType('int64', []), tensorType('bool', [])];
  const { graph, result } = steady(
    l,
    carried.map((v) => v.type),
    1,
    (types) => {
      const inputs = formals(l, [...lead, ...types, ...captures.map((v) => v.type)]);
      const at = 2 + carried.length;
      const got = body({
        iteration: inputs[0]!,
        carried: inputs.slice(2, at),
        scanned: [],
        captures: inputs.slice(at),
      });
      const condition = got.condition ?? inputs[1]!;
      return {
        graph: region(
          l,
          inputs.map((t) => t.value),
          [condition, ...got.carried, ...(got.stacked ?? [])],
        ),
        result: got,
      };
    },
  );
  const scans = result.stacked?.length ?? 0;
  const outputs = l.nodes(
    'loop',
    [parts.tripCount, parts.condition, ...carried, ...captures],
    { carried: carried.length, scans },
    [graph],
  );
  return split(outputs, carried.length);
}

export interface ScanParts {
  readonly carried: readonly Value[];
  readonly scanned: readonly { readonly value: Value; readonly axis: number; readonly reverse: boolean }[];
  readonly captures: readonly Value[];
}

/** A loop over the elements of tensors along an axis. */
export function scan(
  l: LayerBuilder,
  parts: ScanParts,
  body: (it: LoopIteration) => LoopResult,
): { carried: NetworkTensor[]; stacked: NetworkTensor[] } {
  const { carried, scanned, captures } = parts;
  const elements = scanned.map(({ value, axis }) => {
    l.axis(axis, l.dims(value).length);
    return scannedElement(tensorType(l.dtype(value), l.dims(value)), axis);
  });
  const { graph, result } = steady(
    l,
    carried.map((v) => v.type),
    0,
    (types) => {
      const inputs = formals(l, [...types, ...elements, ...captures.map((v) => v.type)]);
      const [at, end] = [carried.length, carried.length + scanned.length];
      const got = body({
        iteration: new NetworkTensor(l.graph.dims(0)),
        carried: inputs.slice(0, at),
        scanned: inputs.slice(at, end),
        captures: inputs.slice(end),
      });
      return {
        graph: region(
          l,
          inputs.map((t) => t.value),
          [...got.carried, ...(got.stacked ?? [])],
        ),
        result: got,
      };
    },
  );
  const attributes = {
    carried: carried.length,
    numScanInputs: scanned.length,
    scans: result.stacked?.length ?? 0,
    scanInputAxes: scanned.map((s) => s.axis),
    scanInputDirections: scanned.map((s) => (s.reverse ? 1 : 0)),
  };
  return split(
    l.nodes('scan', [...carried, ...scanned.map((s) => s.value), ...captures], attributes, [graph]),
    carried.length,
  );
}

interface Attempt {
  readonly graph: Graph;
  readonly result: LoopResult;
}

/** Calls the body with wider and wider types until what it carries keeps its type. */
function steady(
  l: LayerBuilder,
  initial: readonly Type[],
  first: number,
  attempt: (types: readonly Type[]) => Attempt,
): Attempt {
  const general = new Set<DimSymbol>();
  let types = initial;
  for (;;) {
    const made = attempt(types);
    if (made.result.carried.length !== initial.length)
      l.fail(`the body gives ${String(made.result.carried.length)} carried tensors for ${String(initial.length)}`);
    const wider = types.map((t, i) => {
      const got = made.graph.outputs[first + i]!.type;
      return (
        widenedType(t, got, general) ??
        l.fail(`carried tensor ${String(i)} changes from ${formatType(t)} to ${formatType(got)}`)
      );
    });
    if (wider.every((t, i) => t === types[i])) return made;
    types = wider;
  }
}

function split(outputs: readonly Value[], carried: number): { carried: NetworkTensor[]; stacked: NetworkTensor[] } {
  const tensors = outputs.map((v) => new NetworkTensor(v));
  return { carried: tensors.slice(0, carried), stacked: tensors.slice(carried) };
}
