/** `NetworkLayers`: a method for each kind of layer that can be added to a network in code, or to a part of one. */

import {
  activation,
  type ActivationType,
  elementWise,
  type ElementWiseOperation,
  scale,
  type ScaleMode,
  unary,
  type UnaryOperation,
} from './elementwise.js';
import { conditional, loop, type Body, type LoopIteration, type LoopResult, scan } from './control.js';
import { einsum, type MatrixOperation, matrixMultiply } from './contractions.js';
import { LayerBuilder, type LayerOptions } from './layers.js';
import {
  convolution,
  type ConvolutionOptions,
  deconvolution,
  type DeconvolutionOptions,
  pooling,
  type PoolingOptions,
  type PoolingType,
} from './windows.js';
import { shuffle, type ShuffleParameters, slice, type SliceParameters } from './shaping.js';
import {
  attention,
  type AttentionOptions,
  dequantize,
  normalization,
  type NormalizationOptions,
  quantize,
  type QuantizeOptions,
  resize,
  type ResizeOptions,
} from './composites.js';
import { NetworkTensor } from './tensor.js';
import type { Dim } from '../dim.js';
import { type DType, isFloat } from '../dtype.js';
import { TensorwrightError } from '../errors.js';
import type { GraphBuilder } from '../graph-builder.js';
import type { Attributes, Value } from '../graph.js';
import { Tensor } from '../tensor.js';

export type ReduceOperation = 'sum' | 'prod' | 'max' | 'min' | 'avg';
export type TopKOperation = 'max' | 'min';

/** Adds layers to a graph: to a network under definition, or in the place of one layer or node that they make up. */
export class NetworkLayers {
  protected readonly builder: GraphBuilder;
  readonly #part: string | undefined;
  readonly #layerNames = new Set<string>();
  #layers = 0;

  /** @param part the layer or node that they make up: profiles and reports speak of it. Default: each speaks for itself. */
  constructor(builder: GraphBuilder, part?: string) {
    this.builder = builder;
    this.#part = part;
  }

  addConstant(tensor: Tensor): NetworkTensor {
    if (!(tensor instanceof Tensor)) throw new TensorwrightError('ERR_INVALID_ARGUMENT', 'addConstant takes a Tensor');
    return new NetworkTensor(this.builder.constant(tensor));
  }

  addIdentity(x: NetworkTensor, options: LayerOptions = {}): NetworkTensor {
    return this.#layer('identity', options, (l) => l.value(x));
  }

  addCast(x: NetworkTensor, to: DType, options: LayerOptions = {}): NetworkTensor {
    return this.#layer('cast', options, (l) => l.op('cast', [l.value(x)], { to: l.checkDType(to) }));
  }

  addUnary(x: NetworkTensor, operation: UnaryOperation, options: LayerOptions = {}): NetworkTensor {
    return this.#layer('unary', options, (l) => unary(l, l.value(x), operation));
  }

  /** Broadcasts as numpy does. */
  addElementWise(
    a: NetworkTensor,
    b: NetworkTensor,
    operation: ElementWiseOperation,
    options: LayerOptions = {},
  ): NetworkTensor {
    return this.#layer('elementWise', options, (l) => elementWise(l, l.value(a), l.value(b), operation));
  }

  addActivation(
    x: NetworkTensor,
    type: ActivationType,
    options: LayerOptions & { readonly alpha?: number; readonly beta?: number } = {},
  ): NetworkTensor {
    return this.#layer('activation', options, (l) => activation(l, l.value(x), type, options.alpha, options.beta));
  }

  /** (x · scale + shift)^power with parameters for all elements, per channel, or per element. */
  addScale(
    x: NetworkTensor,
    mode: ScaleMode,
    options: LayerOptions & {
      readonly shift?: NetworkTensor;
      readonly scale?: NetworkTensor;
      readonly power?: NetworkTensor;
      readonly channelAxis?: number;
    } = {},
  ): NetworkTensor {
    return this.#layer('scale', options, (l) => {
      const part = (t: NetworkTensor | undefined): Value | undefined => t && l.value(t);
      return scale(l, l.value(x), mode, {
        shift: part(options.shift),
        scale: part(options.scale),
        power: part(options.power),
        channelAxis: options.channelAxis ?? 1,
      });
    });
  }

  addMatrixMultiply(
    a: NetworkTensor,
    opA: MatrixOperation,
    b: NetworkTensor,
    opB: MatrixOperation,
    options: LayerOptions = {},
  ): NetworkTensor {
    return this.#layer('matrixMultiply', options, (l) => matrixMultiply(l, l.value(a), opA, l.value(b), opB));
  }

  addEinsum(inputs: readonly NetworkTensor[], equation: string, options: LayerOptions = {}): NetworkTensor {
    return this.#layer('einsum', options, (l) =>
      einsum(
        l,
        inputs.map((t) => l.value(t)),
        equation,
      ),
    );
  }

  /** x [N, C, …], kernel [M, C/groups, …]; any number of spatial axes. */
  addConvolution(
    x: NetworkTensor,
    kernel: NetworkTensor,
    options: LayerOptions & ConvolutionOptions = {},
  ): NetworkTensor {
    return this.#layer('convolution', options, (l) => convolution(l, l.value(x), l.value(kernel, 'kernel'), options));
  }

  /** x [N, C, …], kernel [C, M/groups, …]. */
  addDeconvolution(
    x: NetworkTensor,
    kernel: NetworkTensor,
    options: LayerOptions & DeconvolutionOptions = {},
  ): NetworkTensor {
    return this.#layer('deconvolution', options, (l) =>
      deconvolution(l, l.value(x), l.value(kernel, 'kernel'), options),
    );
  }

  addPooling(
    x: NetworkTensor,
    type: PoolingType,
    windowSize: readonly number[],
    options: LayerOptions & PoolingOptions = {},
  ): NetworkTensor {
    return this.#layer('pooling', options, (l) => pooling(l, l.value(x), type, windowSize, options));
  }

  addReduce(
    x: NetworkTensor,
    operation: ReduceOperation,
    axes: readonly number[],
    options: LayerOptions & { readonly keepDims?: boolean } = {},
  ): NetworkTensor {
    return this.#layer('reduce', options, (l) => {
      const v = l.value(x);
      const rank = l.dims(v).length;
      const monoid = l.choice(operation, ['sum', 'prod', 'max', 'min', 'avg'], 'reduction');
      const at = axes.map((a) => l.axis(a, rank));
      const total = l.op('reduce', [v], {
        monoid: monoid === 'avg' ? 'sum' : monoid,
        axes: at,
        keepdims: options.keepDims ?? false,
      });
      if (monoid !== 'avg') return total;
      if (!isFloat(l.dtype(v))) l.fail('averages need a float tensor');
      const counts = l.graph.dims(at.map((a) => l.dims(v)[a]!));
      const count = l.op('reduce', [counts], { monoid: 'prod', axes: [0], keepdims: false });
      return l.op('div', [total, l.op('cast', [count], { to: l.dtype(v) })]);
    });
  }

  addShuffle(x: NetworkTensor, parameters: LayerOptions & ShuffleParameters): NetworkTensor {
    return this.#layer('shuffle', parameters, (l) => shuffle(l, l.value(x), parameters));
  }

  addSoftMax(x: NetworkTensor, axis: number, options: LayerOptions = {}): NetworkTensor {
    return this.#layer('softMax', options, (l) =>
      l.op('softmax', [l.value(x)], { axis: l.axis(axis, l.dims(l.value(x)).length) }),
    );
  }

  addConcatenation(inputs: readonly NetworkTensor[], axis: number, options: LayerOptions = {}): NetworkTensor {
    return this.#layer('concatenation', options, (l) => {
      const values = inputs.map((t) => l.value(t));
      if (values.length === 0) l.fail('at least one input is needed');
      return l.op('concat', values, { axis: l.axis(axis, l.dims(values[0]!).length) });
    });
  }

  addSlice(
    x: NetworkTensor,
    parameters: LayerOptions & Omit<SliceParameters, 'fill'> & { readonly fill?: NetworkTensor },
  ): NetworkTensor {
    return this.#layer('slice', parameters, (l) => {
      const { fill, ...rest } = parameters;
      return slice(l, l.value(x), { ...rest, ...(fill && { fill: l.value(fill, 'fill') }) });
    });
  }

  addPadding(
    x: NetworkTensor,
    pre: readonly Dim[],
    post: readonly Dim[],
    options: LayerOptions & { readonly value?: NetworkTensor } = {},
  ): NetworkTensor {
    return this.#layer('padding', options, (l) =>
      l.op('pad', [l.value(x), options.value && l.value(options.value)], { low: pre, high: post, mode: 'constant' }),
    );
  }

  addResize(x: NetworkTensor, options: LayerOptions & ResizeOptions): NetworkTensor {
    return this.#layer('resize', options, (l) => resize(l, l.value(x), options));
  }

  addGather(
    data: NetworkTensor,
    indices: NetworkTensor,
    options: LayerOptions & {
      readonly axis?: number;
      readonly mode?: 'default' | 'element' | 'nd';
      readonly batchDims?: number;
    } = {},
  ): NetworkTensor {
    return this.#layer('gather', options, (l) => {
      const inputs = [l.value(data, 'data'), l.value(indices, 'indices')];
      const mode = l.choice(options.mode ?? 'default', ['default', 'element', 'nd'], 'gather mode');
      if (mode === 'nd') return l.op('gatherND', inputs, { batchDims: options.batchDims ?? 0 });
      return l.op(mode === 'element' ? 'gatherElements' : 'gather', inputs, { axis: options.axis ?? 0 });
    });
  }

  addTopK(
    x: NetworkTensor,
    operation: TopKOperation,
    k: number,
    axis: number,
    options: LayerOptions = {},
  ): { readonly values: NetworkTensor; readonly indices: NetworkTensor } {
    const [values, indices] = this.#outputsOf('topK', options, (l) => {
      const largest = l.choice(operation, ['max', 'min'], 'operation') === 'max';
      return l.nodes('topK', [l.value(x), l.graph.dims([k])], {
        axis: l.axis(axis, l.dims(l.value(x)).length),
        largest,
        sorted: true,
      });
    });
    return { values: values!, indices: indices! };
  }

  /** Indices of the elements that are not zero: [rank, count]. */
  addNonZero(x: NetworkTensor, options: LayerOptions = {}): NetworkTensor {
    return this.#layer('nonZero', options, (l) => l.op('nonZero', [l.value(x)]));
  }

  addSelect(
    condition: NetworkTensor,
    then: NetworkTensor,
    otherwise: NetworkTensor,
    options: LayerOptions = {},
  ): NetworkTensor {
    return this.#layer('select', options, (l) =>
      l.op('where', [l.value(condition, 'condition'), l.value(then), l.value(otherwise)]),
    );
  }

  /** Layer normalization over `axes` (the last ones), or group and instance normalization with `groups`. */
  addNormalization(
    x: NetworkTensor,
    scaleBy: NetworkTensor,
    bias: NetworkTensor | undefined,
    axes: readonly number[],
    options: LayerOptions & NormalizationOptions = {},
  ): NetworkTensor {
    return this.#layer('normalization', options, (l) =>
      normalization(l, l.value(x), l.value(scaleBy, 'scale'), bias && l.value(bias, 'bias'), axes, options),
    );
  }

  addQuantize(x: NetworkTensor, scaleBy: NetworkTensor, options: LayerOptions & QuantizeOptions = {}): NetworkTensor {
    return this.#layer('quantize', options, (l) => quantize(l, l.value(x), l.value(scaleBy, 'scale'), options));
  }

  addDequantize(x: NetworkTensor, scaleBy: NetworkTensor, options: LayerOptions & QuantizeOptions = {}): NetworkTensor {
    return this.#layer('dequantize', options, (l) => dequantize(l, l.value(x), l.value(scaleBy, 'scale'), options));
  }

  /** query [batch, heads, queries, size], key and value [batch, heads, keys, size]; fewer key heads are shared. */
  addAttention(
    query: NetworkTensor,
    key: NetworkTensor,
    value: NetworkTensor,
    options: LayerOptions & AttentionOptions = {},
  ): NetworkTensor {
    return this.#layer('attention', options, (l) =>
      attention(l, [l.value(query, 'query'), l.value(key, 'key'), l.value(value, 'value')], options),
    );
  }

  /** @param captures tensors of this network that the branches use: they get them as arguments */
  addIf(
    condition: NetworkTensor,
    captures: readonly NetworkTensor[],
    then: Body,
    otherwise: Body,
    options: LayerOptions = {},
  ): NetworkTensor[] {
    const l = this.#builderOf('if', options);
    return conditional(
      l,
      l.value(condition, 'condition'),
      captures.map((t) => l.value(t, 'capture')),
      [then, otherwise],
    );
  }

  /** Runs `body` until the trip count is reached or its condition is false. */
  addLoop(
    parts: {
      readonly tripCount?: NetworkTensor;
      readonly condition?: NetworkTensor;
      readonly carried?: readonly NetworkTensor[];
      readonly captures?: readonly NetworkTensor[];
    },
    body: (iteration: LoopIteration) => LoopResult,
    options: LayerOptions = {},
  ): { carried: NetworkTensor[]; stacked: NetworkTensor[] } {
    const l = this.#builderOf('loop', options);
    const all = (list: readonly NetworkTensor[] | undefined, what: string): Value[] =>
      (list ?? []).map((t) => l.value(t, what));
    return loop(
      l,
      {
        tripCount: parts.tripCount && l.value(parts.tripCount, 'tripCount'),
        condition: parts.condition && l.value(parts.condition, 'condition'),
        carried: all(parts.carried, 'carried'),
        captures: all(parts.captures, 'captures'),
      },
      body,
    );
  }

  /** Runs `body` once for each element of the scanned tensors along their axis. */
  addScan(
    parts: {
      readonly scanned: readonly {
        readonly tensor: NetworkTensor;
        readonly axis?: number;
        readonly reverse?: boolean;
      }[];
      readonly carried?: readonly NetworkTensor[];
      readonly captures?: readonly NetworkTensor[];
    },
    body: (iteration: Omit<LoopIteration, 'iteration'>) => LoopResult,
    options: LayerOptions = {},
  ): { carried: NetworkTensor[]; stacked: NetworkTensor[] } {
    const l = this.#builderOf('scan', options);
    return scan(
      l,
      {
        carried: (parts.carried ?? []).map((t) => l.value(t, 'carried')),
        scanned: parts.scanned.map((s) => ({
          value: l.value(s.tensor, 'scanned'),
          axis: s.axis ?? 0,
          reverse: s.reverse ?? false,
        })),
        captures: (parts.captures ?? []).map((t) => l.value(t, 'captures')),
      },
      body,
    );
  }

  /** A layer of any operator, as plugins bring them: its outputs. @throws ERR_INVALID_ARGUMENT when the operator refuses */
  addOperator(
    operator: string,
    inputs: readonly (NetworkTensor | undefined)[],
    attributes: Attributes = {},
    options: LayerOptions = {},
  ): NetworkTensor[] {
    return this.#outputsOf(operator, options, (l) =>
      l.nodes(
        operator,
        inputs.map((t) => t && l.value(t)),
        attributes,
      ),
    );
  }

  /** One layer made up of others. `make` adds them to the layers that it is given; what it returns is the result. */
  addComposition<T>(kind: string, make: (layers: NetworkLayers, name: string) => T, options: LayerOptions = {}): T {
    const name = this.#nameOf(kind, options);
    return make(new NetworkLayers(this.builder, this.#part ?? name), name);
  }

  #nameOf(kind: string, options: LayerOptions): string {
    const name = options.name ?? `${kind}_${String(++this.#layers)}`;
    if (this.#layerNames.has(name))
      throw new TensorwrightError('ERR_INVALID_ARGUMENT', `two layers are named '${name}'`, { layer: name });
    this.#layerNames.add(name);
    return this.#part === undefined ? name : `${this.#part}/${name}`;
  }

  #builderOf(kind: string, options: LayerOptions): LayerBuilder {
    const name = this.#nameOf(kind, options);
    return new LayerBuilder(this.builder, name, this.#part ?? name);
  }

  #outputsOf(kind: string, options: LayerOptions, make: (l: LayerBuilder) => readonly Value[]): NetworkTensor[] {
    return make(this.#builderOf(kind, options)).map((v) => new NetworkTensor(v));
  }

  #layer(kind: string, options: LayerOptions, make: (l: LayerBuilder) => Value): NetworkTensor {
    return new NetworkTensor(make(this.#builderOf(kind, options)));
  }
}
