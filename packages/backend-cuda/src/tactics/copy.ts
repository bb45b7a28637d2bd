/** Copies between two views of the device: concats, changes of layout, transposes through shared memory. */

import {
  ceilDivDims,
  type Dim,
  type DType,
  dtypeInfo,
  type EmittedStep,
  type MemoryView,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { type Axis, mergeAxes, printOffset } from '../print/loop-space.js';
import { indexType } from '../print/views.js';
import { emitElementwise } from './map.js';

/** Copies move bits: one kernel for all elements of a size. */
const carriers: Readonly<Record<number, DType>> = { 8: 'uint8', 16: 'uint16', 32: 'uint32', 64: 'uint64' };
const cxxCarriers: Readonly<Record<number, string>> = { 8: 'u8', 16: 'u16', 32: 'u32', 64: 'u64' };

export function emitCopy(dtype: DType, from: MemoryView, to: MemoryView): Promise<EmittedStep> {
  const { bits } = dtypeInfo(dtype);
  const source = { ...from, dims: to.dims };
  const axes = mergeAxes([to, source], 'rows');
  const transposed = transposedAxes(axes);
  if (transposed) return emitTranspose(bits, axes, transposed, [to, source]);
  const carrier = carriers[bits]!;
  const type = cxxCarriers[bits]!;
  const layout = to.strides.at(-1) !== 1 && to.strides[1] === 1 ? 'channelsLast' : 'rows';
  return emitElementwise(
    [{ index: 0, dtype: carrier, view: source }],
    [{ dtype: carrier, view: to }],
    layout,
    (args, width, merged) => {
      const input = `${args.input(0, type)} + ${printOffset(merged, 1, args)}`;
      const output = `${args.output(0, type)} + ${printOffset(merged, 0, args)}`;
      return merged.at(-1)!.strides[1] === 0
        ? `  Vec<${type}, ${String(width)}> y;
#pragma unroll
  for (int k = 0; k < ${String(width)}; ++k) y.v[k] = *(${input});
  store_vec(${output}, y);`
        : `  store_vec(${output}, load_vec<${String(width)}>(${input}));`;
    },
  );
}

/** The axes along which the source and the target are dense, where they are two and long enough to be worth a tile. */
function transposedAxes(axes: readonly Axis[]): { readonly target: number; readonly source: number } | undefined {
  const target = axes.findIndex((a) => a.strides[0] === 1);
  const source = axes.findIndex((a) => a.strides[1] === 1);
  if (target < 0 || source < 0 || target === source) return undefined;
  const long = (axis: number): boolean => typeof axes[axis]!.extent !== 'number' || axes[axis]!.extent >= shortAxis;
  return long(target) && long(source) ? { target, source } : undefined;
}

const shortAxis = 8;
const tile = 32;
const rowsOfThreads = 8;

/** Reads rows along the source's dense axis and writes rows along the target's, by way of a tile in shared memory. */
function emitTranspose(
  bits: number,
  axes: readonly Axis[],
  { target, source }: { readonly target: number; readonly source: number },
  views: readonly MemoryView[],
): Promise<EmittedStep> {
  const type = cxxCarriers[bits]!;
  const args = new Arguments();
  const number = indexType(...views);
  const others = axes.map((_, k) => k).filter((k) => k !== target && k !== source);
  const coordinates: string[] = [];
  let rest = 'blockIdx.z';
  for (const k of [...others].reverse()) {
    coordinates.push(
      `const ${number} c${String(k)} = ${rest} % ${args.dim(axes[k]!.extent)};`,
      `const ${number} r${String(k)} = ${rest} / ${args.dim(axes[k]!.extent)};`,
    );
    rest = `r${String(k)}`;
  }
  const at = (operand: number): string => printOffset(axes, operand, args);
  const [t, s] = [`c${String(target)}`, `c${String(source)}`];
  const text = `
extern "C" __global__ void __launch_bounds__(${String(tile * rowsOfThreads)}) transpose(const __grid_constant__ Arguments a) {
  __shared__ ${type} tile[${String(tile)}][${String(tile)} + 1];
  wait_for_predecessor();
  let_successor_start();
  const int x = threadIdx.x % ${String(tile)}, y = threadIdx.x / ${String(tile)};
  ${coordinates.join('\n  ')}
#pragma unroll
  for (int k = 0; k < ${String(tile)}; k += ${String(rowsOfThreads)}) {
    const ${number} ${s} = ${number}(blockIdx.x) * ${String(tile)} + x, ${t} = ${number}(blockIdx.y) * ${String(tile)} + y + k;
    if (${s} < ${args.dim(axes[source]!.extent)} && ${t} < ${args.dim(axes[target]!.extent)})
      tile[y + k][x] = ${args.input(0, type)}[${at(1)}];
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < ${String(tile)}; k += ${String(rowsOfThreads)}) {
    const ${number} ${s} = ${number}(blockIdx.x) * ${String(tile)} + y + k, ${t} = ${number}(blockIdx.y) * ${String(tile)} + x;
    if (${s} < ${args.dim(axes[source]!.extent)} && ${t} < ${args.dim(axes[target]!.extent)})
      ${args.output(0, type)}[${at(0)}] = tile[x][y + k];
  }
}
`;
  const blocks = (axis: number): Dim => ceilDivDims(axes[axis]!.extent, tile);
  return launchStep({
    text,
    arguments: args,
    launches: [
      {
        function: 'transpose',
        grid: [blocks(source), blocks(target), productOf(others.map((k) => axes[k]!.extent))],
        block: [tile * rowsOfThreads, 1, 1],
      },
    ],
  });
}
