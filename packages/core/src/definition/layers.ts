/** What the layers of a network definition share: making nodes under the layer's name, and checks of arguments. */

import { isDType } from '../dtype.js';
import { TensorwrightError } from '../errors.js';
import type { GraphBuilder } from '../graph-builder.js';
import type { Attributes, Graph, Value } from '../graph.js';
import type { Dim } from '../dim.js';
import type { DType } from '../dtype.js';
import { tensorFromNumbers } from '../elements.js';
import { NetworkTensor } from './tensor.js';

/** Options of every layer. */
export interface LayerOptions {
  /** For messages, profiles and the inspector. Default: the method's name and a number. */
  readonly name?: string;
}

/** Makes canonical nodes on behalf of one layer. */
export class LayerBuilder {
  readonly graph: GraphBuilder;
  readonly name: string;
  readonly #origin: readonly string[];

  /** @param origin the user's layer or node that what is made comes from */
  constructor(graph: GraphBuilder, name: string, origin: string = name) {
    this.graph = graph;
    this.name = name;
    this.#origin = [origin];
  }

  /** @throws ERR_INVALID_ARGUMENT that names the layer */
  fail(message: string): never {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `${this.name}: ${message}`, { layer: this.name });
  }

  /** @throws ERR_INVALID_ARGUMENT that names the layer, ERR_PLUGIN where a plugin goes wrong */
  nodes(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes = {},
    regions: readonly Graph[] = [],
  ): readonly Value[] {
    const outer = this.graph.origin;
    this.graph.origin = this.#origin;
    try {
      return this.graph.node(op, inputs, attributes, regions);
    } catch (error) {
      if (!TensorwrightError.is(error)) throw error;
      throw new TensorwrightError(
        // A plugin that goes wrong is not the call's fault.
        error.code === 'ERR_PLUGIN' ? error.code : 'ERR_INVALID_ARGUMENT',
        `${this.name}: ${error.message}`,
        { ...error.details, layer: this.name },
        { cause: error },
      );
    } finally {
      this.graph.origin = outer;
    }
  }

  op(op: string, inputs: readonly (Value | undefined)[], attributes: Attributes = {}): Value {
    return this.nodes(op, inputs, attributes)[0]!;
  }

  /** The tensor's value. @throws ERR_INVALID_ARGUMENT for anything else */
  value(tensor: NetworkTensor, what = 'input'): Value {
    return tensor instanceof NetworkTensor ? tensor.value : this.fail(`${what} must be a tensor of this network`);
  }

  dtype(v: Value): DType {
    return v.type.kind === 'tensor' ? v.type.dtype : this.fail(`a tensor is needed, received a ${v.type.kind}`);
  }

  dims(v: Value): readonly Dim[] {
    const dims = v.type.kind === 'tensor' ? v.type.dims : undefined;
    return dims ?? this.fail('the rank of the input must be known');
  }

  /** Counts from the front, checked. */
  axis(axis: number, rank: number): number {
    const at = axis < 0 ? axis + rank : axis;
    return Number.isInteger(at) && at >= 0 && at < rank
      ? at
      : this.fail(`axis ${String(axis)} is out of range for rank ${String(rank)}`);
  }

  scalar(number: number, dtype: DType): Value {
    return this.graph.constant(tensorFromNumbers(dtype, [number], []));
  }

  /** One of `known`, else an error that lists them. */
  choice<T extends string>(given: T, known: readonly T[], what: string): T {
    return known.includes(given) ? given : this.fail(`unknown ${what} '${given}'; known: ${known.join(', ')}`);
  }

  checkDType(dtype: DType): DType {
    return isDType(dtype) ? dtype : this.fail(`unknown dtype '${String(dtype)}'`);
  }
}
