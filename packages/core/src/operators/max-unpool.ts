/** maxUnpool: puts the values of a max pooling back where its indices say; zeros elsewhere. */

import { addDims, type Dim, mulDims, subDims } from '../dim.js';
import { tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { elementCount, type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';
import { padPlanes } from './conv.js';
import { numbersOf } from './multiply.js';
import { knownWindowsOf, type Windows, windowsOf } from './spatial.js';

/** The extents the pooling had before it, as far as its attributes tell. */
function unpooled(input: readonly Dim[], w: Windows): Dim[] {
  const rank = input.length;
  return input.map((extent, i) => {
    const last = mulDims(subDims(extent, 1), w.strides[i]!);
    return subDims(addDims(last, w.kernel[i]!), addDims(w.pads[i]!, w.pads[i + rank]!));
  });
}

function inferMaxUnpool(c: InferContext): ReturnType<Operator['infer']> {
  const { dtype } = c.tensor(0);
  const x = c.dims(0);
  const kernel = c.attributes['kernelShape'] as readonly number[];
  if (kernel.length !== x.length - 2)
    c.fail(`kernelShape has ${String(kernel.length)} elements, x has ${String(x.length - 2)} spatial axes`);
  if (!c.has(2)) return [tensorType(dtype, [x[0]!, x[1]!, ...unpooled(x.slice(2), windowsOf(c, kernel))])];
  return [tensorType(dtype, c.fact(2) ?? x.map((d, i) => (i < 2 ? d : c.fresh(`unpooled${String(i - 2)}`))))];
}

function evaluateMaxUnpool(c: EvaluateContext): Tensor[] {
  const x = c.tensor(0);
  const indices = c.integers(1);
  const windows = knownWindowsOf(c, c.attributes['kernelShape'] as readonly number[]);
  const spatial = unpooled(x.dims.slice(2), windows) as number[];
  const [batch, channels] = x.dims as [number, number];
  const out = new Float64Array(batch * channels * elementCount(spatial));
  const values = numbersOf(x);
  indices.forEach((at, i) => {
    if (at < 0 || at >= out.length)
      c.fail(`index ${String(at)} lies outside the output of ${String(out.length)} elements`);
    out[at] = values[i]!;
  });
  const dims = c.has(2) ? c.integers(2) : [batch, channels, ...spatial];
  const growth = dims.slice(2).map((extent, i) => extent - spatial[i]!);
  const placed = padPlanes(out, batch * channels, spatial, { ...windows, pads: [...growth.map(() => 0), ...growth] });
  return [tensorFromNumbers(x.dtype, placed.data as Float64Array, dims)];
}

export const maxUnpool: Operator = registerOperator({
  name: 'maxUnpool',
  kind: 'opaque',
  inputs: ['x', 'indices', 'outputShape?'],
  attributes: { kernelShape: undefined, strides: [], pads: [], dilations: [] },
  infer: inferMaxUnpool,
  evaluate: evaluateMaxUnpool,
});
