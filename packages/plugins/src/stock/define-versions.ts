/** One plugin under the several versions that TensorRT has of it. */

import { definePlugin } from '../define-plugin.js';
import type { FieldSchema } from '../fields.js';
import type { Names, Plugin, PluginSpec } from '../plugin.js';

/** Versions that are called alike and compute the same; the newest is the last. */
export function defineVersions<const I extends Names, const O extends Names, F extends FieldSchema>(
  versions: readonly string[],
  spec: Omit<PluginSpec<I, O, F>, 'version'>,
): readonly Plugin<I, O, F>[] {
  return versions.map((version) => definePlugin<I, O, F>({ ...spec, version }));
}
