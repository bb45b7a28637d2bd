/** Outputs of another program, in files. */

import { type RuntimeValue, Tensor } from '@tensorwright/core';
import { usageError } from '../exit-codes.js';
import { type Place, readValueFiles, type ValueFile } from '../models/value-files.js';

export type WantedFiles = ReadonlyMap<string, ValueFile>;

/** @throws usage error for files that cannot be read, before anything is built */
export function readWanted(entries: readonly string[], outputs: readonly Place[]): Promise<WantedFiles> {
  return readValueFiles('--load-outputs', entries, outputs);
}

/** Raw elements have the extents of what was computed. */
export function wantedOf(
  files: WantedFiles,
  outputs: Readonly<Record<string, RuntimeValue>>,
): Record<string, RuntimeValue> {
  return Object.fromEntries(
    [...files].map(([name, { path, content }]) => {
      const own = outputs[name];
      if (content instanceof Tensor || !(own instanceof Tensor)) return [name, content as Tensor];
      try {
        return [name, Tensor.fromBytes(own.dtype, content, own.dims)];
      } catch (error) {
        throw usageError(`--load-outputs: '${path}': ${(error as Error).message}`);
      }
    }),
  );
}
