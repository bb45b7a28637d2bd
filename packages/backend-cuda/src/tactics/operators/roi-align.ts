/**
 * roiAlign. By a thread for each element of the result; or with the images' channels innermost (brought there first where
 * they are not), where a thread reads 16 bytes of channels at a time and a block works out once what its bins read.
 */

import {
  type Attributes,
  ceilDivDims,
  type Dim,
  dimBounds,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Layout,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { index, indexType, isAligned } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { denseView, isDense } from '../dense-view.js';
import { dtypeOf, launchMicroseconds, layoutsFor, memoryMicroseconds } from '../operands.js';
import { AnchorOperands, emitOverOutput, names, type TextOperand, threads } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';

export const roiAlign: Tactic = operatorTactic({
  name: 'roiAlign',
  operators: ['roiAlign'],
  estimate: (group) => launchMicroseconds + readsOf(group) / elementReadsPerMicrosecond,
  emit: emitElements,
});

export const roiAlignChannels: Tactic = operatorTactic({
  name: 'channelsRoiAlign',
  operators: ['roiAlign'],
  layouts: (group) => layoutsFor(group.outputs[0]!),
  stridedOutput: false,
  refuses: (group) => {
    const x = group.anchor!.inputs[0]!;
    if (sumType(dtypeOf(x)!) !== 'f32') return 'only floats of at most 32 bits';
    const { attributes } = group.anchor!;
    if (numberOf(attributes, 'outputHeight') + numberOf(attributes, 'outputWidth') > mostBins)
      return 'more rows and columns of bins than a block keeps track of';
    return typeof channelsOf(group) === 'number' ? undefined : 'channels that only the run knows';
  },
  estimate: (group) => {
    const [x, y] = [bytes(group.anchor!.inputs[0]!), bytes(group.outputs[0]!)];
    const read = (readsOf(group) * bitsOf(group)) / 8;
    return launchMicroseconds + memoryMicroseconds(2 * x + y) + read / channelBytesPerMicrosecond;
  },
  emit: emitChannels,
});

/** Measured on an H200: pixels of single channels that a warp's threads read far from each other. */
const elementReadsPerMicrosecond = 1e6;
const channelBytesPerMicrosecond = 1e7;
/** Bytes of results that a block keeps in shared memory, and of channels that a warp should read together. */
const tileBytes = 30000;
const lineBytes = 128;
/** Rows and columns of bins that a block has counters for. */
const mostBins = 2048;

type Operands = Readonly<Record<'x' | 'rois' | 'images' | 'y', TextOperand>>;

function operandsOf(group: GroupView, context: EmitContext, args: Arguments): Operands {
  const operands = new AnchorOperands(group, context, args);
  return { x: operands.input(0), rois: operands.input(1), images: operands.input(2), y: operands.output() };
}

const numberOf = (attributes: Attributes, name: string): number => attributes[name] as number;

function emitElements(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const { x, rois, images, y } = operandsOf(group, context, args);
  const sum = sumType(x.dtype);
  const isMax = String(attributes['mode'] === 'max');
  return emitOverOutput(
    'roi_align',
    args,
    y,
    [x, rois],
    'rows',
    (number) => `${printAxes({ x, rois, images, y }, 'c0', attributes, args)}
  const auto pixel = [&](${number} row, ${number} column) {
    return convert<${sum}>(${x.at(['image', 'c1', 'row', 'column'])});
  };
  ${y.at(names('c', 4))} = convert<${y.type}>(roi_bin<${isMax}, ${sum}>(vertical, horizontal, c2, c3, pixel));`,
    { uses: ['roi_align'] },
  );
}

/** Statements: `image`, `vertical` and `horizontal` of a region. That of an image that is not there has no samples. */
function printAxes({ x, rois, images }: Operands, region: string, attributes: Attributes, args: Arguments): string {
  const half = attributes['coordinateTransformationMode'] === 'half_pixel';
  const scale = `f32(${String(numberOf(attributes, 'spatialScale'))})`;
  const corner = (k: number): string => `convert<f32>(${rois.at([region, String(k)])}) * ${scale}`;
  const axis = (k: number, bins: string): string =>
    `roi_axis<${String(half)}>(${corner(k)}, ${corner(k + 2)}, ${String(numberOf(attributes, bins))}, ${String(
      numberOf(attributes, 'samplingRatio'),
    )}, ${args.dim(x.view.dims[3 - k]!)})`;
  return `  i64 image = static_cast<i64>(${images.at([region])});
  RoiAxis vertical = ${axis(1, 'outputHeight')};
  const RoiAxis horizontal = ${axis(0, 'outputWidth')};
  if (image < 0 || image >= ${args.dim(x.view.dims[0]!)}) {
    image = 0;
    vertical.samples = 0;
  }`;
}

function emitChannels(group: GroupView, context: EmitContext, layout: Layout): Promise<EmittedStep> {
  const { attributes } = group.anchor!;
  const args = new Arguments();
  const operands = operandsOf(group, context, args);
  const { x, y } = operands;
  const [images, , imageHeight, imageWidth] = x.view.dims as [Dim, Dim, Dim, Dim];
  const channels = channelsOf(group) as number;
  const [height, columns] = [numberOf(attributes, 'outputHeight'), numberOf(attributes, 'outputWidth')];
  const isLast = isDense(x.view, true);
  const { width, vectors, cells, groups } = tilesOf(channels, height * columns, x, isLast);
  const pixels = mulDims(imageHeight, imageWidth);
  const scratch = isLast ? undefined : args.workspace(0, x.type);
  const across = ceilDivDims(pixels, 32);
  const blocks = mulDims(mulDims(images, across), Math.ceil(channels / 32));
  const number = indexType(denseView(x.view.dims), x.view);
  const template = [
    ...[threads, width, vectors, cells, height, columns, attributes['mode'] === 'max', layout === 'channelsLast'],
    number,
  ];
  const text = `${
    scratch === undefined
      ? ''
      : `
extern "C" __global__ void __launch_bounds__(${String(threads)}) roi_channels(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const auto element = [&](i64 image, ${number} channel, ${number} pixel) {
    const ${number} row = pixel / ${args.dim(imageWidth)}, column = pixel % ${args.dim(imageWidth)};
    return ${x.pointer}[${index(x.view, ['image', 'channel', 'row', 'column'], args)}];
  };
  roi_channels_innermost(element, ${scratch}, i64(${args.dim(pixels)}), ${String(channels)});
}
`
  }
extern "C" __global__ void __launch_bounds__(${String(threads)}) roi_align(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i64 region = blockIdx.x / ${String(groups)}u;
${printAxes(operands, 'region', attributes, args)}
  align_roi<${template.join(', ')}>(
      vertical, horizontal, ${scratch ?? x.pointer} + image * i64(${args.dim(pixels)}) * ${String(channels)},
      ${y.pointer} + region * ${String(channels * height * columns)}, i32(blockIdx.x % ${String(groups)}u), ${String(channels)});
}
`;
  const launch = (name: string, grid: Dim): Launch => ({
    function: name,
    grid: [grid, 1, 1],
    block: [threads, 1, 1],
  });
  return launchStep({
    uses: ['roi_align'],
    text,
    arguments: args,
    launches: [
      ...(scratch === undefined ? [] : [launch('roi_channels', blocks)]),
      launch('roi_align', mulDims(y.view.dims[0]!, groups)),
    ],
    ...(scratch !== undefined && { workspaceBytes: mulDims(productOf(x.view.dims), bitsOf(group) / 8) }),
  });
}

interface Tiles {
  /** Channels of a load. */
  readonly width: number;
  /** Loads that a block's channels take. */
  readonly vectors: number;
  /** Bins of a block. */
  readonly cells: number;
  /** Blocks of a region. */
  readonly groups: number;
}

function tilesOf(channels: number, bins: number, { dtype, view }: TextOperand, isLast: boolean): Tiles {
  const elementBytes = dtypeInfo(dtype).bits / 8;
  let width = 16 / elementBytes;
  while (width > 1 && (channels % width !== 0 || (isLast && !isAligned(view, 1, width)))) width /= 2;
  const cells = Math.min(bins, Math.floor(tileBytes / (lineBytes + 16)));
  const most = (tileBytes / cells - 16) / (width * elementBytes);
  let vectors = 1;
  while (vectors * 2 <= most && vectors * width < channels) vectors *= 2;
  const groups = Math.ceil(channels / (vectors * width)) * Math.ceil(bins / cells);
  return { width, vectors, cells, groups };
}

function channelsOf(group: GroupView): Dim {
  const { type } = group.anchor!.inputs[0]!;
  return type.kind === 'tensor' ? type.dims![1]! : 0;
}

function bitsOf(group: GroupView): number {
  return dtypeInfo(dtypeOf(group.anchor!.inputs[0])!).bits;
}

/** Pixels of single channels that the samples read, about. */
function readsOf(group: GroupView): number {
  const { attributes } = group.anchor!;
  const samples = numberOf(attributes, 'samplingRatio') || 2;
  return (4 * samples * samples * bytes(group.outputs[0]!) * 8) / bitsOf(group);
}

/** At extents of 64 where they are not known. */
function bytes({ type }: GroupView['outputs'][number]): number {
  if (type.kind !== 'tensor') return 0;
  const extent = (d: Dim): number => (typeof d === 'number' ? d : Math.min(64, dimBounds(d).max));
  return (type.dims!.map(extent).reduce((a, b) => a * b, 1) * dtypeInfo(type.dtype).bits) / 8;
}
