/** Movement operators and shapes. */

import { addDims, type Dim, mulDims, provablyEqual, subDims } from '@tensorwright/core';
import type { ExportContext, ExporterTable } from './exporter.js';

function slice(c: ExportContext): string {
  const dims = c.dims(0);
  const [starts, sizes, steps] = ['starts', 'sizes', 'steps'].map((name) => c.attribute<readonly Dim[]>(name)) as [
    readonly Dim[],
    readonly Dim[],
    readonly Dim[],
  ];
  const axes = dims.flatMap((d, i) => (starts[i] === 0 && steps[i] === 1 && provablyEqual(sizes[i]!, d) ? [] : [i]));
  if (axes.length === 0) return c.one('Identity', [c.input(0)]);
  const end = (i: number): Dim => {
    const past = addDims(starts[i]!, mulDims(sizes[i]!, steps[i]!));
    // Counted from the back, the place in front of the first element is one before -extent.
    return typeof steps[i] === 'number' && steps[i] < 0 ? subDims(past, dims[i]!) : past;
  };
  const at = (list: readonly Dim[]): string => c.extents(axes.map((i) => list[i]!));
  return c.one('Slice', [c.input(0), at(starts), c.extents(axes.map(end)), c.ints(axes), at(steps)]);
}

function pad(c: ExportContext): string {
  const [low, high] = [c.attribute<readonly Dim[]>('low'), c.attribute<readonly Dim[]>('high')];
  return c.one('Pad', [c.input(0), c.extents([...low, ...high]), c.input(1)], { mode: c.attribute<string>('mode') });
}

export const movementExporters: ExporterTable = {
  reshape: (c) => c.reshape(c.input(0), c.attribute<readonly Dim[]>('dims')),
  transpose: (c) => c.one('Transpose', [c.input(0)], { perm: c.attribute<readonly number[]>('perm') }),
  expand: (c) => c.one('Expand', [c.input(0), c.extents(c.attribute<readonly Dim[]>('dims'))]),
  slice,
  concat: (c) => c.one('Concat', c.inputs(), { axis: c.attribute<number>('axis') }),
  pad,
  reshapeDynamic: (c) => c.one('Reshape', c.inputs(), { allowzero: c.attribute<number>('allowzero') }),
  expandDynamic: (c) => c.one('Expand', c.inputs()),
  sliceDynamic: (c) => c.one('Slice', c.inputs()),
  padDynamic: (c) => c.one('Pad', c.inputs(), { mode: c.attribute<string>('mode') }),
  tileDynamic: (c) => c.one('Tile', c.inputs()),
  squeezeDynamic: (c) => c.one('Squeeze', c.inputs()),
  unsqueezeDynamic: (c) => c.one('Unsqueeze', c.inputs()),
  range: (c) => c.one('Range', c.inputs()),
  shape: (c) =>
    c.one('Shape', c.inputs(), { start: c.attribute<number>('start'), end: c.attribute<number | undefined>('end') }),
  size: (c) => c.one('Size', c.inputs()),
  dims: (c) => {
    const values = c.attribute<readonly Dim[]>('values');
    return c.attribute<number>('rank') === 0 ? c.one('Squeeze', [c.extents(values), c.ints([0])]) : c.extents(values);
  },
};
