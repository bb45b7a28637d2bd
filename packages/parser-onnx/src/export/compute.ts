/** Contractions, windows, reductions and normalizations. */

import { isFloat, isInteger } from '@tensorwright/core';
import type { ExportContext, ExporterTable, ExportFunction, OnnxAttributes } from './exporter.js';

/** Window attributes; empty lists mean ONNX's defaults. */
function window(c: ExportContext): OnnxAttributes {
  const list = (name: string): readonly number[] | undefined => {
    const given = c.attribute<readonly number[] | undefined>(name);
    return given === undefined || given.length === 0 ? undefined : given;
  };
  return { strides: list('strides'), dilations: list('dilations'), pads: list('pads') };
}

function dot(c: ExportContext): string {
  const [lhs, rhs, out] = ['lhs', 'rhs', 'out'].map((name) => c.attribute<string>(name)) as [string, string, string];
  const { dtype } = c.type(0);
  let [a, b] = [c.input(0), c.input(1)];
  if (isInteger(dtype) && dtype !== 'int32' && dtype !== 'int64')
    [a, b] = [a, b].map((x) => c.one('Cast', [x], { to: c.code('int32') })) as [string, string];
  const batch = out.slice(0, -2);
  const [m, n] = [out.at(-2) ?? '', out.at(-1) ?? ''];
  const [k] = [...lhs].filter((l) => !out.includes(l));
  const isMatrix =
    out.length >= 2 && isFloat(dtype) && k !== undefined && lhs === batch + m + k && rhs === batch + k + n;
  return isMatrix ? c.one('MatMul', [a, b]) : c.one('Einsum', [a, b], { equation: `${lhs},${rhs}->${out}` });
}

const poolNames = { max: 'MaxPool', average: 'AveragePool', lp: 'LpPool' } as const;

function pool(c: ExportContext): string {
  const kind = c.attribute<keyof typeof poolNames>('kind');
  return c.one(poolNames[kind], [c.input(0)], {
    kernel_shape: c.attribute<readonly number[]>('kernelShape'),
    ...window(c),
    ceil_mode: c.attribute<boolean>('ceilMode') ? 1 : 0,
    ...(kind === 'average' && { count_include_pad: c.attribute<boolean>('countIncludePad') ? 1 : 0 }),
    ...(kind === 'lp' && { p: c.attribute<number>('p') }),
  });
}

const reduceNames: Readonly<Record<string, string>> = {
  sum: 'ReduceSum',
  prod: 'ReduceProd',
  max: 'ReduceMax',
  min: 'ReduceMin',
  any: 'ReduceMax',
  all: 'ReduceMin',
};

function reduce(c: ExportContext, axes: string, more: OnnxAttributes = {}): string {
  const monoid = c.attribute<string>('monoid');
  const truth = monoid === 'any' || monoid === 'all' || c.type(0).dtype === 'bool';
  const x = truth ? c.one('Cast', [c.input(0)], { to: c.code('int32') }) : c.input(0);
  const y = c.one(reduceNames[monoid]!, [x, axes], { keepdims: c.attribute<boolean>('keepdims') ? 1 : 0, ...more });
  return truth ? c.one('Cast', [y], { to: c.code('bool') }) : y;
}

function argExtreme(op: string): ExportFunction {
  return (c) =>
    c.one(op, [c.input(0)], {
      axis: c.attribute<number>('axis'),
      keepdims: c.attribute<boolean>('keepdims') ? 1 : 0,
      select_last_index: c.attribute<boolean>('selectLastIndex') ? 1 : 0,
    });
}

function epsilon(c: ExportContext): { epsilon: { float: number } } {
  return { epsilon: { float: c.attribute<number>('epsilon') } };
}

function attention(c: ExportContext): string {
  const set = ['causalOffset', 'leftWindow', 'rightWindow'].filter(
    (name) => c.attribute<number>(name) !== (name === 'causalOffset' ? 0 : -1),
  );
  if (set.length > 0 || c.has(5) || c.has(6)) c.unsupported('attention with windows, offsets or sinks');
  if (c.attribute<boolean>('masksInTurn')) c.unsupported('attention with masks in turn');
  c.needs(c.has(4) ? 24 : 23);
  const scale = c.attribute<number | undefined>('scale');
  return c.one('Attention', [c.input(0), c.input(1), c.input(2), c.input(3), '', '', c.input(4)], {
    is_causal: c.attribute<boolean>('isCausal') ? 1 : 0,
    softcap: { float: c.attribute<number>('softcap') },
    ...(scale !== undefined && { scale: { float: scale } }),
  });
}

function cumulative(op: string): ExportFunction {
  return (c) => {
    const axis = c.has(1) ? c.input(1) : c.scalar(c.attribute<number>('axis'), 'int64');
    return c.one(op, [c.input(0), axis], {
      exclusive: c.attribute<boolean>('exclusive') ? 1 : 0,
      reverse: c.attribute<boolean>('reverse') ? 1 : 0,
    });
  };
}

function recurrent(op: string, outputs: number): ExportFunction {
  return (c) => {
    const clip = c.attribute<number | undefined>('clip');
    const floats = (name: string): { floats: readonly number[] } | undefined => {
      const list = c.attribute<readonly number[] | undefined>(name);
      return list && { floats: list };
    };
    return c.emit(
      op,
      c.inputs(),
      {
        hidden_size: c.attribute<number>('hiddenSize'),
        direction: c.attribute<string>('direction'),
        activations: c.attribute<readonly string[] | undefined>('activations'),
        activation_alpha: floats('activationAlpha'),
        activation_beta: floats('activationBeta'),
        ...(clip !== undefined && { clip: { float: clip } }),
        ...(op === 'GRU' && { linear_before_reset: c.attribute<number>('linearBeforeReset') }),
        ...(op === 'LSTM' && { input_forget: c.attribute<number>('inputForget') }),
      },
      outputs,
    );
  };
}

export const computeExporters: ExporterTable = {
  dot,
  conv: (c) => {
    const attributes = { ...window(c), group: c.attribute<number>('group') };
    if (isFloat(c.type(0).dtype)) return c.one('Conv', c.inputs(), attributes);
    if (c.has(2) || ![0, 1].every((i) => ['int8', 'uint8'].includes(c.type(i).dtype)))
      return c.unsupported('integer convolution of other types than int8 and uint8, or with a bias');
    return c.one('ConvInteger', c.inputs(), attributes);
  },
  convTranspose: (c) => {
    const extra = c.attribute<readonly number[]>('outputPadding');
    return c.one('ConvTranspose', c.inputs(), {
      ...window(c),
      group: c.attribute<number>('group'),
      output_padding: extra.length > 0 ? extra : undefined,
    });
  },
  deformConv: (c) =>
    c.one('DeformConv', c.inputs(), {
      ...window(c),
      group: c.attribute<number>('group'),
      offset_group: c.attribute<number>('offsetGroup'),
    }),
  pool,
  maxPoolWithIndices: (c) =>
    c.emit(
      'MaxPool',
      [c.input(0)],
      {
        kernel_shape: c.attribute<readonly number[]>('kernelShape'),
        ...window(c),
        ceil_mode: c.attribute<boolean>('ceilMode') ? 1 : 0,
        storage_order: c.attribute<number>('storageOrder'),
      },
      2,
    ),
  maxUnpool: (c) =>
    c.one('MaxUnpool', c.inputs(), {
      kernel_shape: c.attribute<readonly number[]>('kernelShape'),
      ...window(c),
      dilations: undefined,
    }),
  reduce: (c) => reduce(c, c.ints(c.attribute<readonly number[]>('axes')), { noop_with_empty_axes: 1 }),
  reduceDynamic: (c) =>
    reduce(c, c.input(1), { noop_with_empty_axes: c.attribute<boolean>('noopWithEmptyAxes') ? 1 : 0 }),
  argMax: argExtreme('ArgMax'),
  argMin: argExtreme('ArgMin'),
  cumSum: cumulative('CumSum'),
  cumProd: (c) => {
    c.needs(26);
    return cumulative('CumProd')(c);
  },
  softmax: (c) => c.one('Softmax', [c.input(0)], { axis: c.attribute<number>('axis') }),
  logSoftmax: (c) => c.one('LogSoftmax', [c.input(0)], { axis: c.attribute<number>('axis') }),
  layerNorm: (c) =>
    c.emit(
      'LayerNormalization',
      c.inputs(),
      { axis: c.attribute<number>('axis'), ...epsilon(c) },
      c.node.outputs.length,
    ),
  rmsNorm: (c) => {
    c.needs(23);
    return c.one('RMSNormalization', c.inputs(), { axis: c.attribute<number>('axis'), ...epsilon(c) });
  },
  groupNorm: (c) =>
    c.one('GroupNormalization', c.inputs(), { num_groups: c.attribute<number>('numGroups'), ...epsilon(c) }),
  instanceNorm: (c) => c.one('InstanceNormalization', c.inputs(), epsilon(c)),
  lrn: (c) =>
    c.one('LRN', [c.input(0)], {
      size: c.attribute<number>('size'),
      alpha: { float: c.attribute<number>('alpha') },
      beta: { float: c.attribute<number>('beta') },
      bias: { float: c.attribute<number>('bias') },
    }),
  attention,
  lstm: recurrent('LSTM', 3),
  gru: recurrent('GRU', 2),
  rnn: recurrent('RNN', 2),
};
