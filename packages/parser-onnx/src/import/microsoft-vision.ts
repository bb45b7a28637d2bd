/** com.microsoft's image, signal and remaining operators. */

import type { Dim, Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { dequantize } from './integer-contraction.js';
import { cast, element, expand, iota, reshape, scale, sliceAxis, transpose } from './shorthand.js';
import { layer } from './recurrent.js';

/** Boxes of the feature map at one size: sampled positions outside it take extrapolation_value. */
function cropAndResize(c: ImportContext): Value {
  const [x, rois, batchIndices, size] = [c.input(0), c.input(1), c.input(2), c.input(3)];
  const [, , height, width] = c.dimsOf(x) as [Dim, Dim, Dim, Dim];
  const count = c.dimsOf(rois)[0]!;
  const one = c.scalar(1, 'float32');
  /** Positions along one axis in units of the extent − 1: [R, n]. */
  const line = (axis: number): Value => {
    const n = element(c, size, axis);
    const steps = iota(c, n, 'float32');
    const [begin, end] = [axis, axis + 2].map((k) => sliceAxis(c, rois, 1, k, 1)) as [Value, Value];
    const gaps = c.op('max', [c.op('sub', [cast(c, n, 'float32'), one]), one]);
    return c.op('add', [begin, c.op('mul', [c.op('sub', [end, begin]), c.op('div', [steps, gaps])])]);
  };
  const [ys, xs] = [line(0), line(1)];
  const [rows, columns] = [c.dimsOf(ys)[1]!, c.dimsOf(xs)[1]!];
  const grid = (v: Value, dims: readonly Dim[]): Value => expand(c, reshape(c, v, dims), [count, rows, columns, 1]);
  const positions = c.op('concat', [grid(xs, [count, 1, columns, 1]), grid(ys, [count, rows, 1, 1])], { axis: 3 });
  const centred = c.op('sub', [scale(c, positions, 2), one]);
  const images = c.op('gather', [x, batchIndices], { axis: 0 });
  const mode = c.string('mode', 'bilinear');
  const sampled = c.op('gridSample', [images, centred], {
    alignCorners: true,
    mode: mode === 'bilinear' ? 'linear' : mode,
    paddingMode: 'border',
  });
  const within = (v: Value, dims: readonly Dim[], extent: Dim): Value => {
    const inside = c.op('and', [c.op('greaterOrEqual', [v, c.scalar(0, 'float32')]), c.op('lessOrEqual', [v, one])]);
    // An image of one row has all positions on it.
    return reshape(c, extent === 1 ? c.op('equal', [v, v]) : inside, dims);
  };
  const inside = c.op('and', [within(ys, [count, 1, rows, 1], height), within(xs, [count, 1, 1, columns], width)]);
  return c.op('where', [inside, sampled, c.scalar(c.float('extrapolation_value', 0), c.type(x).dtype)]);
}

function gridSample(c: ImportContext): Value {
  const mode = c.string('mode', 'bilinear');
  return c.op('gridSample', [c.input(0), c.input(1)], {
    alignCorners: c.int('align_corners', 0) !== 0,
    mode: mode === 'bilinear' ? 'linear' : mode === 'bicubic' ? 'cubic' : mode,
    paddingMode: c.string('padding_mode', 'zeros'),
  });
}

function checkFourier(c: ImportContext): void {
  if (c.int('signal_ndim', 1) !== 1) c.unsupported('transforms over several dimensions');
  if (c.int('normalized', 0) !== 0 || c.int('onesided', 1) !== 1) c.unsupported('normalized or two-sided transforms');
}

function rfft(c: ImportContext): Value {
  checkFourier(c);
  const x = c.input(0);
  return c.op('dft', [reshape(c, x, [...c.dimsOf(x), 1])], { axis: -2, onesided: true });
}

function irfft(c: ImportContext): Value {
  checkFourier(c);
  const y = c.op('dft', [c.input(0)], { axis: -2, inverse: true, onesided: true });
  return reshape(c, y, c.dimsOf(y).slice(0, -1));
}

/**
 * Weights [directions, inputs, 4 · hidden] in 8 bits. The weights are exact; the activations, which ONNX Runtime
 * quantizes anew at every step, stay as they are.
 */
function dynamicQuantizeLstm(c: ImportContext): readonly Value[] {
  const weights = (value: number, parameters: number): Value => {
    const shaped = (i: number): Value => {
      const v = c.input(i);
      const [directions, columns] = c.dimsOf(v);
      return reshape(c, v, [directions!, 1, columns ?? 1]);
    };
    return transpose(
      c,
      dequantize(c, { value: c.input(value), zeroPoint: shaped(parameters + 1) }, shaped(parameters)),
      [0, 2, 1],
    );
  };
  const [w, r] = [weights(1, 8), weights(2, 10)];
  const rest = [3, 4, 5, 6, 7].map((i) => c.optional(i));
  return layer(c, 'lstm', [c.input(0), w, r, ...rest], { inputForget: c.int('input_forget', 0) });
}

export const microsoftVisionImporters: ImporterTable = {
  CropAndResize: cropAndResize,
  GridSample: gridSample,
  Inverse: (c) => c.op('inverse', [c.input(0)]),
  Rfft: rfft,
  Irfft: irfft,
  DynamicQuantizeLSTM: dynamicQuantizeLstm,
};
