/** Groups of usual sizes, and the tactics whose texts for them are worth a look. */

import {
  ConstantData,
  type Dim,
  type DType,
  dtypeInfo,
  elementCount,
  GraphBuilder,
  Tensor,
  tensorType,
  type Value,
} from '@tensorwright/core';

const b = new GraphBuilder();

const input = (dtype: DType, dims: readonly Dim[]): Value => b.input('x', tensorType(dtype, dims));
const weights = (dtype: DType, dims: readonly number[]): Value => {
  const bytes = new Uint8Array((elementCount(dims) * dtypeInfo(dtype).bits) / 8);
  return b.constant(ConstantData.of(Tensor.fromBytes(dtype, bytes, dims)));
};
/** Operators after an anchor, as the builder groups them. */
const group = (inputs: readonly Value[], body: (region: GraphBuilder, ...x: Value[]) => Value): Value =>
  chain(inputs, (region, ...x) => [body(region, ...x)]);
/** Groups that run as one step. */
const chain = (inputs: readonly Value[], body: (region: GraphBuilder, ...x: Value[]) => Value[]): Value => {
  const own = inputs.map((v, i) => b.input(`g${String(i)}`, v.type));
  const region = { inputs: own, outputs: body(b, ...own) };
  return b.node('group', [...inputs], { kind: 'sample' }, [region])[0]!;
};

const labels = { lhs: 'mk', rhs: 'kn', out: 'mn' };
const conv = { strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], group: 1 };
const f16 = 'float16';

/** A channel's mean, and two products of it, of 14 by 14 pixels. */
const excitation = (r: GraphBuilder, x: Value, [down, up, pixels]: readonly [Value, Value, Value]): Value => {
  const sum = { monoid: 'sum', axes: [2, 3], keepdims: true, to: 'float32' };
  const mean = group([x, pixels], (g, v, n) => g.op('cast', [g.op('div', [g.op('reduce', [v], sum), n])], { to: f16 }));
  const hidden = group([mean, down], (g, v, w) => g.op('relu', [g.op('conv', [v, w], { group: 1 })]));
  return group([hidden, up], (g, v, w) => g.op('sigmoid', [g.op('conv', [v, w], { group: 1 })]));
};
const excitationWeights = [weights(f16, [28, 672, 1, 1]), weights(f16, [672, 28, 1, 1])] as const;

/** To as many channels as it comes from, where the stride is one also adding them. */
const mobileBlock = (x: readonly [number, number, number, number], wide: number, stride: 1 | 2): Value => {
  const [, channels] = x;
  const layers = [
    weights(f16, [wide, channels, 1, 1]),
    weights(f16, [wide, 1, 3, 3]),
    weights(f16, [channels, wide, 1, 1]),
  ];
  return chain([input(f16, x), ...layers], (_, image, expand, filter, project) => {
    const layer = (v: Value, w: Value, attributes: object): Value =>
      group([v, w], (r, ...of) => r.op('relu', [r.op('conv', of, { ...conv, ...attributes })]));
    const expanded = layer(image, expand, { pads: [0, 0, 0, 0] });
    const filtered = layer(expanded, filter, { group: wide, strides: [stride, stride] });
    const added = stride === 1 ? [image] : [];
    return [
      group([filtered, project, ...added], (r, v, w, residual) => {
        const sum = r.op('conv', [v, w], { ...conv, pads: [0, 0, 0, 0] });
        return residual ? r.op('add', [sum, residual]) : sum;
      }),
    ];
  });
};

/** With a bias and relu. */
const deformable = (dtype: DType): Value =>
  group(
    [
      ...[input(dtype, [8, 256, 50, 84]), weights(dtype, [256, 256, 3, 3]), input(dtype, [8, 18, 50, 84])],
      ...[weights(dtype, [256]), input(dtype, [8, 9, 50, 84])],
    ],
    (r, ...operands) => r.op('relu', [r.op('deformConv', operands, { ...conv, offsetGroup: 1 })]),
  );

const suppressed = (boxes: number): Value =>
  b.op('nonMaxSuppression', [
    ...[input('float32', [1, boxes, 4]), input('float32', [1, 80, boxes]), input('int64', [])],
    ...[input('float32', []), input('float32', [])],
  ]);

export interface Sample {
  /** Or their variants: 'tactic.variant'. */
  readonly tactics: readonly string[];
  readonly result: Value;
}

const sample = (tactics: readonly string[], result: Value): Sample => ({ tactics, result });

export const samples: Readonly<Record<string, Sample>> = {
  'product of float16 with bias and gelu': sample(
    ['contraction', 'hopper'],
    group([input(f16, [512, 768]), weights(f16, [768, 3072]), input(f16, [3072])], (r, x, w, bias) =>
      r.op('gelu', [r.op('add', [r.op('dot', [x, w], labels), bias])]),
    ),
  ),
  'product of normalized rows': sample(
    ['normalizedProduct'],
    group(
      [input(f16, [512, 768]), weights(f16, [768]), weights(f16, [768]), weights(f16, [768, 3072])],
      (r, x, scale, shift, w) => {
        const rows = group([x, scale, shift], (g, ...v) => g.op('layerNorm', v, { epsilon: 1e-5 }));
        return group([rows, w], (g, v, m) => g.op('gelu', [g.op('dot', [v, m], labels)]));
      },
    ),
  ),
  'product of bfloat16, batched': sample(
    ['contraction'],
    b.op('dot', [input('bfloat16', [12, 128, 64]), input('bfloat16', [12, 128, 64])], {
      lhs: 'bqd',
      rhs: 'bkd',
      out: 'bqk',
    }),
  ),
  'product of float32': sample(
    ['contraction'],
    b.op('dot', [input('float32', [256, 512]), weights('float32', [512, 512])], labels),
  ),
  'product of float32 as tf32': sample(
    ['contraction', 'hopper'],
    b.op('dot', [input('float32', [256, 512]), weights('float32', [512, 512])], { ...labels, tf32: true }),
  ),
  'product of int8': sample(
    ['contraction', 'hopper'],
    b.op('dot', [input('int8', [512, 512]), weights('int8', [512, 512])], labels),
  ),
  'product of a vector': sample(['gemv'], b.op('dot', [input(f16, [1, 4096]), weights(f16, [4096, 4096])], labels)),
  convolution: sample(
    ['contraction', 'hopper'],
    group(
      [input(f16, [8, 128, 28, 28]), weights(f16, [128, 128, 3, 3]), weights(f16, [128]), input(f16, [8, 128, 28, 28])],
      (r, x, w, bias, y) => r.op('relu', [r.op('add', [r.op('conv', [x, w, bias], conv), y])]),
    ),
  ),
  'stem that reads float32': sample(
    ['stem'],
    group([input('float32', [8, 3, 224, 224]), weights(f16, [64, 3, 7, 7]), weights(f16, [64])], (r, x, w, bias) =>
      r.op('relu', [
        r.op('conv', [r.op('cast', [x], { to: f16 }), w, bias], {
          ...conv,
          strides: [2, 2],
          pads: [3, 3, 3, 3],
        }),
      ]),
    ),
  ),
  'stem that is pooled': sample(
    ['pooledStem', 'pooledStem.warpgroups'],
    group([input('float32', [8, 3, 224, 224]), weights(f16, [64, 3, 7, 7]), weights(f16, [64])], (r, x, w, bias) => {
      const half = group([x], (g, v) => g.op('cast', [v], { to: f16 }));
      const attributes = { ...conv, strides: [2, 2], pads: [3, 3, 3, 3] };
      const image = group([half, w, bias], (g, ...v) => g.op('relu', [g.op('conv', v, attributes)]));
      return r.op('pool', [image], { kind: 'max', kernelShape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
    }),
  ),
  'convolution of a scaled image': sample(
    ['contraction', 'hopper'],
    group(
      [input(f16, [32, 672, 14, 14]), input(f16, [32, 672, 1, 1]), weights(f16, [112, 672, 1, 1])],
      (r, x, s, w) => {
        const scaled = group([x, s], (g, v, factor) => g.op('mul', [v, factor]));
        return group([scaled, w], (g, v, filter) => g.op('conv', [v, filter], { group: 1 }));
      },
    ),
  ),
  excitation: sample(
    ['excitation'],
    group([input(f16, [1, 672, 14, 14]), ...excitationWeights, b.scalar(196, 'float32')], (r, x, down, up, pixels) =>
      excitation(r, x, [down, up, pixels]),
    ),
  ),
  'depthwise convolution and its excitation': sample(
    ['pooledExcitation'],
    chain(
      [input(f16, [32, 672, 14, 14]), weights(f16, [672, 1, 5, 5]), ...excitationWeights, b.scalar(196, 'float32')],
      (r, x, w, down, up, pixels) => {
        const image = group([x, w], (g, v, filter) =>
          g.op('relu', [g.op('conv', [v, filter], { ...conv, pads: [2, 2, 2, 2], group: 672 })]),
        );
        return [image, excitation(r, image, [down, up, pixels])];
      },
    ),
  ),
  'inverted residual with a stride': sample(['invertedResidual'], mobileBlock([32, 24, 56, 56], 144, 2)),
  'inverted residual of few pixels': sample(['invertedResidual'], mobileBlock([1, 160, 7, 7], 960, 1)),
  'expanded image that excites': sample(
    ['expandedExcitation'],
    chain(
      [
        ...[input(f16, [32, 112, 14, 14]), weights(f16, [672, 112, 1, 1]), weights(f16, [672, 1, 5, 5])],
        ...[...excitationWeights, b.scalar(196, 'float32')],
      ],
      (r, x, expand, filter, down, up, pixels) => {
        const silu = (g: GraphBuilder, v: Value): Value => g.op('mul', [v, g.op('sigmoid', [v])]);
        const layer = (v: Value, w: Value, attributes: object): Value =>
          group([v, w], (g, ...of) => silu(g, g.op('conv', of, { ...conv, ...attributes })));
        const wide = layer(x, expand, { pads: [0, 0, 0, 0] });
        const image = layer(wide, filter, { pads: [2, 2, 2, 2], group: 672 });
        return [image, excitation(r, image, [down, up, pixels])];
      },
    ),
  ),
  'depthwise convolution': sample(
    ['depthwise'],
    b.op('conv', [input(f16, [1, 96, 56, 56]), weights(f16, [96, 1, 3, 3])], { ...conv, group: 96 }),
  ),
  'depthwise convolution of float32': sample(
    ['depthwise'],
    b.op('conv', [input('float32', [1, 96, 56, 56]), weights('float32', [96, 1, 3, 3])], { ...conv, group: 96 }),
  ),
  'deformable convolution': sample(['deformProduct', 'deformProduct.warpgroups'], deformable(f16)),
  'deformable convolution of bfloat16': sample(['deformProduct', 'deformProduct.warpgroups'], deformable('bfloat16')),
  'deformable convolution of float32': sample(['deformProduct'], deformable('float32')),
  map: sample(
    ['map'],
    group([input('float32', [64, 1000]), input('float32', [1000])], (r, x, y) =>
      r.op('mul', [r.op('erf', [x]), r.op('add', [x, y])]),
    ),
  ),
  softmax: sample(['softmax'], b.op('softmax', [input(f16, [96, 384])], { axis: -1 })),
  'layer normalization': sample(
    ['norm'],
    b.op('layerNorm', [input(f16, [512, 768]), weights(f16, [768]), weights(f16, [768])], {}),
  ),
  reduction: sample(
    ['reduce'],
    b.op('reduce', [input('float32', [64, 2048])], { monoid: 'sum', axes: [1], keepdims: false }),
  ),
  attention: sample(
    ['attention', 'attentionHopper'],
    b.op(
      'attention',
      Array.from({ length: 3 }, () => input(f16, [1, 12, 384, 64])),
      {},
    ),
  ),
  gather: sample(['gather'], b.op('gather', [input('float32', [30000, 768]), input('int64', [384])], { axis: 0 })),
  'positions written into a cache': sample(
    ['tensorScatter'],
    b.op('tensorScatter', [input(f16, [4, 8, 2048, 64]), input(f16, [4, 8, 3, 64]), input('int64', [4])], {
      mode: 'circular',
    }),
  ),
  'rows that replace others': sample(
    ['scatter'],
    b.op('scatterND', [input('bfloat16', [4096, 512]), input('int64', [64, 1]), input('bfloat16', [64, 512])], {}),
  ),
  'updates added up': sample(
    ['scatter'],
    b.op('scatterElements', [input('int32', [4096, 64]), input('int64', [999, 64]), input('int32', [999, 64])], {
      reduction: 'add',
    }),
  ),
  'positions of float16 that are picked': sample(['nonZero'], b.op('nonZero', [input(f16, [3, 640, 480])])),
  'positions that are picked': sample(['nonZero'], b.op('nonZero', [input('float32', [3, 640, 480])])),
  range: sample(
    ['range'],
    b.op(
      'range',
      Array.from({ length: 3 }, () => input('int64', [])),
    ),
  ),
  'slices by computed bounds': sample(
    ['dynamicMovement'],
    b.op('sliceDynamic', [input(f16, [64, 300]), ...Array.from({ length: 4 }, () => input('int64', [2]))]),
  ),
  'padding by computed extents': sample(
    ['dynamicMovement'],
    b.op('padDynamic', [input('float32', [3, 320, 320]), input('int64', [6])], { mode: 'reflect' }),
  ),
  'suppressed boxes': sample(['nonMaxSuppression'], suppressed(20000)),
  'different elements': sample(['unique'], b.node('unique', [input('float32', [1000, 4])], { axis: 0 })[0]!),
  'reduction along computed axes': sample(
    ['reduceDynamic'],
    b.op('reduceDynamic', [input(f16, [64, 64, 30]), input('int64', [2])], { monoid: 'sum' }),
  ),
};
