/** If, Loop and Scan: subgraphs become regions; a branch whose condition is known is imported in place. */

import {
  type DimSymbol,
  formatType,
  type Graph,
  scannedElement,
  tensorType,
  type Type,
  type Value,
  widenedType,
} from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

interface Region {
  readonly graph: Graph;
  readonly captures: Value[];
}

function importIf(c: ImportContext): readonly Value[] {
  const condition = c.input(0);
  const known = c.constantOf(condition);
  if (known?.dtype === 'bool' && known.size === 1)
    return c.inline((known.data as Uint8Array)[0] === 0 ? 'else_branch' : 'then_branch', []);
  const [yes, no] = [c.region('then_branch', []), c.region('else_branch', [])];
  const captures = [...new Set([...yes.captures, ...no.captures])];
  return c.node('if', [condition, ...captures], {}, [takingAll(c, yes, captures), takingAll(c, no, captures)]);
}

/** The region with all of these captures as inputs, in this order, used or not. */
function takingAll(c: ImportContext, region: Region, captures: readonly Value[]): Graph {
  const inputs = captures.map((v) => {
    const own = region.captures.indexOf(v);
    return own >= 0 ? region.graph.inputs[own]! : c.formal('unused', v.type);
  });
  return { inputs, outputs: region.graph.outputs };
}

/**
 * A body whose carried values have types that hold in every iteration: where a run of the body changes an extent,
 * the extent becomes unknown, and the body is imported again.
 */
function steadyRegion(
  c: ImportContext,
  name: string,
  lead: readonly Type[],
  carried: readonly Type[],
  tail: readonly Type[],
  firstOutput: number,
): Region {
  let types = carried;
  const general = new Set<DimSymbol>();
  for (;;) {
    const region = c.region(name, [...lead, ...types, ...tail]);
    const results = types.map(
      (_, i) =>
        region.graph.outputs[firstOutput + i]?.type ??
        c.fail(`the body has ${region.graph.outputs.length} outputs, too few for ${carried.length} carried values`),
    );
    const wider = types.map(
      (t, i) =>
        widenedType(t, results[i]!, general) ??
        c.fail(`carried value ${i} changes from ${formatType(t)} to ${formatType(results[i]!)}`),
    );
    if (wider.every((t, i) => t === types[i])) return region;
    types = wider;
  }
}

/** Rank 0, from tensors of one element that some exporters write with rank 1. */
function scalarInput(c: ImportContext, i: number): Value | undefined {
  const v = c.optional(i);
  if (!v || (c.type(v).dims?.length ?? 0) === 0) return v;
  return c.op('reshape', [v], { dims: [] });
}

function loop(c: ImportContext): readonly Value[] {
  const [max, condition] = [scalarInput(c, 0), scalarInput(c, 1)];
  const initial = Array.from({ length: Math.max(0, c.inputCount - 2) }, (_, i) => c.input(i + 2));
  const lead = [tensorType('int64', []), tensorType('bool', [])];
  const region = steadyRegion(
    c,
    'body',
    lead,
    initial.map((v) => v.type),
    [],
    1,
  );
  const scans = region.graph.outputs.length - 1 - initial.length;
  // A body may take an optional and give a plain value, which every further iteration takes.
  const becomesPlain = initial.map(
    (v, i) => v.type.kind === 'optional' && region.graph.outputs[1 + i]!.type.kind !== 'optional',
  );
  const outputs = region.graph.outputs.map((v, i) => (becomesPlain[i - 1] === true ? c.op('optional', [v]) : v));
  const results = c.node('loop', [max, condition, ...initial, ...region.captures], { carried: initial.length, scans }, [
    { ...region.graph, outputs },
  ]);
  return results.map((v, i) => (becomesPlain[i] === true ? c.op('optionalGetElement', [v]) : v));
}

function listOrZeros(c: ImportContext, name: string, count: number): number[] {
  const list = c.ints(name) ?? new Array<number>(count).fill(0);
  if (list.length !== count) c.fail(`attribute '${name}' has ${list.length} entries, ${count} are needed`);
  return list;
}

function scan(c: ImportContext): readonly Value[] {
  const numScanInputs = c.int('num_scan_inputs', 0);
  const carried = c.inputCount - numScanInputs;
  if (numScanInputs < 1 || carried < 0) c.fail(`num_scan_inputs is ${numScanInputs} with ${c.inputCount} inputs`);
  const values = c.inputs();
  const scans = c.regionArity('body').outputs - carried;
  if (scans < 0) c.fail(`the body has ${scans + carried} outputs, too few for ${carried} carried values`);
  const axes = listOrZeros(c, 'scan_input_axes', numScanInputs);
  const elements = values.slice(carried).map((v, k) => scannedElement(c.type(v), axes[k]!));
  const region = steadyRegion(
    c,
    'body',
    [],
    values.slice(0, carried).map((v) => v.type),
    elements,
    0,
  );
  const attributes = {
    carried,
    numScanInputs,
    scans,
    scanInputAxes: axes,
    scanInputDirections: listOrZeros(c, 'scan_input_directions', numScanInputs),
    scanOutputAxes: listOrZeros(c, 'scan_output_axes', scans),
    scanOutputDirections: listOrZeros(c, 'scan_output_directions', scans),
  };
  return c.node('scan', [...values, ...region.captures], attributes, [region.graph]);
}

/** Opset 8: everything has a batch axis in front. A scan over the batch, whose body is the scan over the sequence. */
function batchedScan(c: ImportContext): readonly Value[] {
  if (c.has(0))
    c.unsupported('sequence_lens of Scan in opset 8 is not supported', 'Export the model with opset 9 or newer.');
  const numScanInputs = c.int('num_scan_inputs', 0);
  const values = Array.from({ length: c.inputCount - 1 }, (_, i) => c.input(i + 1));
  const carried = values.length - numScanInputs;
  if (numScanInputs < 1 || carried < 0) c.fail(`num_scan_inputs is ${numScanInputs} with ${values.length} inputs`);
  const inBatch = values.map((v) => scannedElement(c.type(v), 0));
  const elements = inBatch.slice(carried).map((t) => scannedElement(t, 0));
  const body = steadyRegion(c, 'body', [], inBatch.slice(0, carried), elements, 0);
  const scans = body.graph.outputs.length - carried;
  const formals = inBatch.map((t, i) => c.formal(`batch.${i}`, t));
  const captured = body.captures.map((v) => c.formal('capture', v.type));
  const inner = c.node(
    'scan',
    [...formals, ...captured],
    { carried, numScanInputs, scans, scanInputDirections: listOrZeros(c, 'directions', numScanInputs) },
    [body.graph],
  );
  const outer: Graph = { inputs: [...formals, ...captured], outputs: inner };
  return c.node(
    'scan',
    [...values, ...body.captures],
    { carried: 0, numScanInputs: values.length, scans: inner.length },
    [outer],
  );
}

export const controlImporters: ImporterTable = {
  If: importIf,
  Loop: loop,
  Scan: { 8: batchedScan, 9: scan },
};
