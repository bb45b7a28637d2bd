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

/** A plugin as its library describes it. */
export interface PluginRecord {
  readonly name: string;
  readonly version: string;
  readonly namespace: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly fields: readonly PluginField[];
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

  override close(): void {
    if (!this.closed) this.binding.releasePlugins(this.handle);
    super.close();
  }
}
