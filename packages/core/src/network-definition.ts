/** Networks made in code, in TensorRT's vocabulary: every layer is canonical operators, so that nothing behind knows the difference. */

import { LayerBuilder } from './definition/layers.js';
import { NetworkLayers } from './definition/network-layers.js';
import { NetworkTensor } from './definition/tensor.js';
import { createSymbol, type Dim, symbolDim } from './dim.js';
import type { DType } from './dtype.js';
import { TensorwrightError } from './errors.js';
import { GraphBuilder } from './graph-builder.js';
import type { NamedValue, Network } from './network.js';
import { tensorType } from './type.js';

/** An extent of an input: a number, the name of a dynamic one (the same name is the same extent), or -1 for one of its own. */
export type InputDim = number | string;

/** A network made in code, layer by layer: inputs, layers of the standard operators and of plugins, named outputs. */
export class NetworkDefinition extends NetworkLayers {
  readonly name: string;
  readonly #inputs: NamedValue[] = [];
  readonly #outputs: NamedValue[] = [];
  readonly #symbols = new Map<string, Dim>();

  constructor(name = 'network') {
    super(new GraphBuilder());
    this.name = name;
  }

  /** @throws ERR_INVALID_ARGUMENT when the name is taken or a dim is malformed */
  addInput(name: string, dtype: DType, dims: readonly InputDim[]): NetworkTensor {
    const l = new LayerBuilder(this.builder, `input '${name}'`);
    if (typeof name !== 'string' || name === '') l.fail('a name is needed');
    if (this.#inputs.some((i) => i.name === name)) l.fail('the name is taken');
    const type = tensorType(
      l.checkDType(dtype),
      dims.map((d, axis) => this.#inputDim(l, d, `${name}.${String(axis)}`)),
    );
    const value = this.builder.input(name, type);
    this.#inputs.push({ name, value });
    return new NetworkTensor(value, name);
  }

  /** @throws ERR_INVALID_ARGUMENT when another output has the name */
  markOutput(tensor: NetworkTensor, name: string | undefined = tensor.name): void {
    const l = new LayerBuilder(this.builder, 'markOutput');
    const value = l.value(tensor);
    const label = name ?? `output${String(this.#outputs.length)}`;
    if (this.#outputs.some((o) => o.name === label)) l.fail(`two outputs are named '${label}'`);
    tensor.name ??= label;
    this.#outputs.push({ name: label, value });
  }

  /** @throws ERR_INVALID_ARGUMENT when nothing is marked as output */
  toNetwork(): Network {
    if (this.#outputs.length === 0)
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `network '${this.name}' has no outputs: mark one with markOutput`,
      );
    const [inputs, outputs] = [[...this.#inputs], [...this.#outputs]];
    return {
      name: this.name,
      graph: { inputs: inputs.map((i) => i.value), outputs: outputs.map((o) => o.value) },
      builder: this.builder,
      inputs,
      outputs,
      metadata: {},
      opsets: {},
    };
  }

  #inputDim(l: LayerBuilder, d: InputDim, own: string): Dim {
    if (d === -1) return symbolDim(createSymbol(own));
    if (typeof d === 'number')
      return Number.isSafeInteger(d) && d >= 0
        ? d
        : l.fail(`extent ${String(d)} must be a non-negative integer, a name or -1`);
    if (typeof d !== 'string' || d === '') return l.fail('an extent must be a number or a name');
    let known = this.#symbols.get(d);
    if (known === undefined) this.#symbols.set(d, (known = symbolDim(createSymbol(d))));
    return known;
  }
}
