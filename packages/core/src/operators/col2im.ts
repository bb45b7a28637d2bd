/** col2im: sums overlapping blocks into an image. x [N, C · ∏blockShape, L] → [N, C, …imageShape]. */

import { addDims, floorDivDims, productOf } from '../dim.js';
import { tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { addWindows, cropPlanes } from './conv-transpose.js';
import { numbersOf } from './multiply.js';
import { knownWindowsOf, windowCounts } from './spatial.js';

function inferCol2im(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype, dims } = c.tensor(0);
  const image = c.fact(1);
  const block = c.fact(2);
  const rank =
    image?.length ?? block?.length ?? [1, 2].map((i) => c.tensor(i).dims?.[0]).find((d) => typeof d === 'number');
  if (dims === undefined || rank === undefined) return [tensorType(dtype, undefined)];
  if (dims.length !== 3) c.fail('x must have rank 3');
  const channels = block ? floorDivDims(dims[1]!, productOf(block)) : c.fresh('channels');
  return [
    tensorType(dtype, [
      dims[0]!,
      channels,
      ...(image ?? Array.from({ length: rank }, (_, i) => c.fresh(`image${String(i)}`))),
    ]),
  ];
}

function evaluateCol2im(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const image = c.integers(1);
  const block = c.integers(2);
  if (image.length !== block.length) c.fail('imageShape and blockShape must have the same length');
  const windows = knownWindowsOf(c, block);
  const rank = block.length;
  const counts = windowCounts(image, windows) as number[];
  const [batch, columns, blocks] = x.dims as [number, number, number];
  const channels = columns / elementCount(block);
  if (!Number.isInteger(channels))
    c.fail(`${String(columns)} rows are no multiple of the block's ${String(elementCount(block))} elements`);
  if (elementCount(counts) !== blocks)
    c.fail(`the image has ${String(elementCount(counts))} blocks, x has ${String(blocks)}`);
  const full = image.map((extent, i) => addDims(extent, windows.pads[i]! + windows.pads[i + rank]!) as number);
  const sums = new Float64Array(batch * channels * elementCount(full));
  addWindows(sums, 0, full, Float64Array.from(numbersOf(x)), batch * channels, counts, windows);
  const { data, dims } = cropPlanes(sums, batch * channels, full, windows);
  return [tensorFromNumbers(x.dtype, data, [batch, channels, ...dims])];
}

export const col2im: Operator = registerOperator({
  name: 'col2im',
  kind: 'opaque',
  inputs: ['x', 'imageShape', 'blockShape'],
  attributes: { strides: [], dilations: [], pads: [] },
  infer: inferCol2im,
  evaluate: evaluateCol2im,
});
