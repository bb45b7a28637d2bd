/** Plugin libraries: shared libraries of users, written against include/tensorwright/plugin.h. */

import type { Binding, Handle } from './binding.js';
import type { DType, PlanAttribute } from './plan.js';
import { Resource } from './resource.js';

export interface PluginField {
  readonly name: string;
  readonly kind: 'int' | 'float' | 'bool' | 'string' | 'ints' | 'floats' | 'strings';
  /** Absent: a call must give it. */
  readonly default?: number | boolean | string | readonly number[] | readonly string[];
}

type Condition = number | boolean | string | readonly number[] | readonly string[];

/** A subgraph that a plugin takes the place of; true: any value. */
export interface PluginPattern {
  readonly name?: string;
  readonly nodes: readonly {
    readonly op: string;
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
    readonly attributes: Readonly<Record<string, Condition>>;
  }[];
  readonly constants: Readonly<Record<string, Condition>>;
  /** Whether the library wants to be asked about a match. */
  readonly asks: boolean;
}

/** A plugin as its library describes it. */
export interface PluginRecord {
  readonly name: string;
  readonly version: string;
  readonly namespace: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly fields: readonly PluginField[];
  /** Outputs that are an input changed in place, each with its input. */
  readonly aliases: Readonly<Record<string, string>>;
  readonly patterns: readonly PluginPattern[];
}

/** What a pattern has found, by its own names. */
export interface PluginMatch {
  /** null: an extent, or a rank, that only the run knows. `data` of constants alone. */
  readonly tensors: Readonly<
    Record<
      string,
      { readonly dtype: DType; readonly dims: readonly (number | null)[] | null; readonly data?: ArrayBufferView }
    >
  >;
  /** Of nodes, by their first outputs. */
  readonly attributes: Readonly<Record<string, Fields>>;
}

export interface PluginAnswer {
  readonly counts: boolean;
  readonly fields: Readonly<Record<string, number | boolean | string | readonly number[] | readonly string[]>>;
}

/** null: an extent that only the run knows. */
export interface PluginShape {
  readonly dtype: DType;
  readonly dims: readonly (number | null)[];
}

/**
 * Extents as postfix code: numbers; 'xK', the K-th unknown extent of the inputs; 'fK', the K-th data-dependent one; '+',
 * '-', '*', 'floordiv', 'mod', 'min', 'max'.
 */
export interface PluginInference {
  readonly outputs: readonly { readonly dtype: DType; readonly dims: readonly (readonly string[])[] }[];
  /** Bounds of the data-dependent extents. */
  readonly dataDependent: readonly (readonly [min: number, max: number])[];
}

type Fields = Readonly<Record<string, PlanAttribute>>;

/** A loaded library. Plans may call its plugins until it is closed; what runs then keeps its code. */
export class PluginLibraryHandle extends Resource {
  /** @internal */
  constructor(binding: Binding, handle: Handle) {
    super(binding, handle, 'plugin library');
  }

  plugins(): readonly PluginRecord[] {
    return this.binding.listPlugins(this.handle);
  }

  /** `fields`: 'field:NAME' → value. @throws ERR_PLUGIN with what the plugin said */
  infer(plugin: number, fields: Fields, inputs: readonly (PluginShape | null)[]): PluginInference {
    return this.binding.inferPlugin(this.handle, plugin, fields, inputs);
  }

  supports(
    plugin: number,
    fields: Fields,
    inputs: readonly (PluginShape | null)[],
    outputs: readonly PluginShape[],
    backend: 'cpu' | 'cuda',
  ): boolean {
    return this.binding.supportsPlugin(this.handle, plugin, fields, inputs, outputs, backend);
  }

  /** Whether a match of one of the plugin's patterns counts, and the fields of the call. @throws ERR_PLUGIN with what the plugin said */
  match(plugin: number, pattern: number, match: PluginMatch): PluginAnswer {
    return this.binding.matchPlugin(this.handle, plugin, pattern, match);
  }

  override close(): void {
    if (!this.closed) this.binding.releasePlugins(this.handle);
    super.close();
  }
}
