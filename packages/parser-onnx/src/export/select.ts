/** Gathering, scattering, sorting, resampling, signals. */

import { dtypes, type DType } from '@tensorwright/core';
import type { ExportContext, ExporterTable, ExportFunction } from './exporter.js';

function withAxis(op: string): ExportFunction {
  return (c) => c.one(op, c.inputs(), { axis: c.attribute<number | undefined>('axis') });
}

/** A one-element vector, from a scalar or a vector. */
function vector(c: ExportContext, i: number): string {
  return c.dims(i).length === 1 ? c.input(i) : c.reshape(c.input(i), [1]);
}

function resize(c: ExportContext): string {
  const boolean = (name: string): number => (c.attribute<boolean>(name) ? 1 : 0);
  return c.one('Resize', c.inputs(), {
    mode: c.attribute<string>('mode'),
    coordinate_transformation_mode: c.attribute<string>('coordinateTransformationMode'),
    nearest_mode: c.attribute<string>('nearestMode'),
    antialias: boolean('antialias'),
    axes: c.attribute<readonly number[] | undefined>('axes'),
    cubic_coeff_a: { float: c.attribute<number>('cubicCoeffA') },
    exclude_outside: boolean('excludeOutside'),
    extrapolation_value: { float: c.attribute<number>('extrapolationValue') },
    keep_aspect_ratio_policy: c.attribute<string>('keepAspectRatioPolicy'),
  });
}

function random(op: 'RandomNormal' | 'RandomUniform', first: string, second: string): ExportFunction {
  return (c) => {
    const seed = c.attribute<number | undefined>('seed');
    const dtype = c.attribute<DType | undefined>('dtype');
    const attributes = {
      ...(dtype !== undefined && dtypes.includes(dtype) && { dtype: c.code(dtype) }),
      ...(seed !== undefined && { seed: { float: seed } }),
      [first]: { float: c.attribute<number>(first) },
      [second]: { float: c.attribute<number>(second) },
    };
    if (c.has(0)) return c.one(`${op}Like`, [c.input(0)], attributes);
    const dims = c.attribute<readonly unknown[]>('dims');
    if (!dims.every((d) => typeof d === 'number')) c.unsupported('random tensors of symbolic extents');
    return c.one(op, [], { ...attributes, shape: dims as readonly number[] });
  };
}

export const selectExporters: ExporterTable = {
  gather: withAxis('Gather'),
  gatherElements: withAxis('GatherElements'),
  gatherND: (c) => c.one('GatherND', c.inputs(), { batch_dims: c.attribute<number>('batchDims') }),
  scatterElements: (c) =>
    c.one('ScatterElements', c.inputs(), {
      axis: c.attribute<number>('axis'),
      reduction: c.attribute<string>('reduction'),
    }),
  scatterND: (c) => c.one('ScatterND', c.inputs(), { reduction: c.attribute<string>('reduction') }),
  tensorScatter: (c) => {
    c.needs(24);
    return c.one('TensorScatter', c.inputs(), { axis: c.attribute<number>('axis'), mode: c.attribute<string>('mode') });
  },
  topK: (c) =>
    c.emit(
      'TopK',
      [c.input(0), vector(c, 1)],
      {
        axis: c.attribute<number>('axis'),
        largest: c.attribute<boolean>('largest') ? 1 : 0,
        sorted: c.attribute<boolean>('sorted') ? 1 : 0,
      },
      2,
    ),
  nonZero: (c) => c.one('NonZero', c.inputs()),
  compress: withAxis('Compress'),
  unique: (c) =>
    c.emit(
      'Unique',
      c.inputs(),
      { axis: c.attribute<number | undefined>('axis'), sorted: c.attribute<boolean>('sorted') ? 1 : 0 },
      4,
    ),
  oneHot: withAxis('OneHot'),
  reverseSequence: (c) =>
    c.one('ReverseSequence', c.inputs(), {
      batch_axis: c.attribute<number>('batchAxis'),
      time_axis: c.attribute<number>('timeAxis'),
    }),
  nonMaxSuppression: (c) =>
    c.one('NonMaxSuppression', c.inputs(), { center_point_box: c.attribute<number>('centerPointBox') }),
  roiAlign: (c) =>
    c.one('RoiAlign', c.inputs(), {
      mode: c.attribute<string>('mode'),
      coordinate_transformation_mode: c.attribute<string>('coordinateTransformationMode'),
      output_height: c.attribute<number>('outputHeight'),
      output_width: c.attribute<number>('outputWidth'),
      sampling_ratio: c.attribute<number>('samplingRatio'),
      spatial_scale: { float: c.attribute<number>('spatialScale') },
    }),
  maxRoiPool: (c) =>
    c.one('MaxRoiPool', c.inputs(), {
      pooled_shape: c.attribute<readonly number[]>('pooledShape'),
      spatial_scale: { float: c.attribute<number>('spatialScale') },
    }),
  gridSample: (c) =>
    c.one('GridSample', c.inputs(), {
      align_corners: c.attribute<boolean>('alignCorners') ? 1 : 0,
      mode: c.attribute<string>('mode'),
      padding_mode: c.attribute<string>('paddingMode'),
    }),
  resize,
  col2im: (c) => {
    const list = (name: string): readonly number[] | undefined =>
      c.attribute<readonly number[]>(name).length > 0 ? c.attribute<readonly number[]>(name) : undefined;
    return c.one('Col2Im', c.inputs(), { strides: list('strides'), dilations: list('dilations'), pads: list('pads') });
  },
  det: (c) => c.one('Det', c.inputs()),
  dft: (c) => {
    const axis = c.has(2) ? c.input(2) : c.scalar(c.attribute<number>('axis'), 'int64');
    return c.one('DFT', [c.input(0), c.input(1), axis], {
      inverse: c.attribute<boolean>('inverse') ? 1 : 0,
      onesided: c.attribute<boolean>('onesided') ? 1 : 0,
    });
  },
  stft: (c) => c.one('STFT', c.inputs(), { onesided: c.attribute<boolean>('onesided') ? 1 : 0 }),
  melWeightMatrix: (c) =>
    c.one('MelWeightMatrix', c.inputs(), { output_datatype: c.code(c.attribute<DType>('dtype')) }),
  multinomial: (c) => {
    const seed = c.attribute<number | undefined>('seed');
    return c.one('Multinomial', c.inputs(), {
      sample_size: c.attribute<number>('sampleSize'),
      dtype: c.code(c.attribute<DType>('dtype')),
      ...(seed !== undefined && { seed: { float: seed } }),
    });
  },
  randomNormal: random('RandomNormal', 'mean', 'scale'),
  randomUniform: random('RandomUniform', 'low', 'high'),
};
