/** Inputs and outputs in files: NumPy's `.npy`, TensorProto messages in `.pb`, else raw little-endian elements. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DType, type RuntimeValue, Tensor, tensorType, whyUnreadable } from '@tensorwright/core';
import { CommandError, exitCodes, usageError } from '../exit-codes.js';
import type { Reporter } from '../output/reporter.js';
import { convertElements } from './convert-elements.js';
import { readNpy, writeNpy } from './npy.js';

/** What values are read for: an input or output by its name. */
export interface Place {
  readonly name: string;
  /** undefined: no tensor. */
  readonly dtype: DType | undefined;
}

export interface ValueFile {
  readonly path: string;
  /** Bytes: raw elements, whose extents the file does not say. */
  readonly content: Tensor | Uint8Array;
}

/**
 * @param entries 'name:file'
 * @param option what the user has written them as, for errors
 * @throws usage error for names that are no place, and for files that do not fit
 */
export async function readValueFiles(
  option: string,
  entries: readonly string[],
  places: readonly Place[],
): Promise<Map<string, ValueFile>> {
  const files = new Map<string, ValueFile>();
  for (const entry of entries) {
    // Names may have colons: the longest that fits is meant.
    const place = places
      .filter(({ name }) => entry.startsWith(`${name}:`))
      .sort((a, b) => b.name.length - a.name.length)[0];
    if (!place)
      throw usageError(
        `${option}: expected name:file with one of ${places.map((p) => p.name).join(', ')}; not '${entry}'`,
      );
    if (files.has(place.name)) throw usageError(`${option}: '${place.name}' is given twice`);
    const path = entry.slice(place.name.length + 1);
    try {
      files.set(place.name, { path, content: await read(path, place) });
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const isRead = code !== undefined && !code.startsWith('ERR_');
      throw usageError(`${option}: '${path}': ${isRead ? whyUnreadable(cause) : (cause as Error).message}`);
    }
  }
  return files;
}

async function read(path: string, { name, dtype }: Place): Promise<Tensor | Uint8Array> {
  const bytes = await readFile(path);
  if (dtype === undefined) throw new Error(`'${name}' is no tensor`);
  if (path.endsWith('.npy')) return convertElements(readNpy(bytes), name, dtype);
  if (!path.endsWith('.pb')) return bytes;
  const { readValueFile } = await import('@tensorwright/parser-onnx');
  return convertElements(readValueFile(bytes, tensorType(dtype, undefined)) as Tensor, name, dtype);
}

/** Writes each tensor as a `.npy` file into a folder that is there. @returns the files by name */
export async function saveValues(
  folder: string,
  values: Readonly<Record<string, RuntimeValue>>,
  reporter: Reporter,
): Promise<Record<string, string>> {
  const saved: Record<string, string> = {};
  try {
    for (const [name, value] of Object.entries(values)) {
      if (!(value instanceof Tensor) || value.dtype === 'string') {
        reporter.warn(`'${name}' is not saved: a .npy file holds a tensor of numbers`);
        continue;
      }
      const own = name.replace(/[^\w.-]+/g, '_');
      const taken = new Set(Object.values(saved));
      let path = join(folder, `${own}.npy`);
      for (let i = 2; taken.has(path); i++) path = join(folder, `${own}-${String(i)}.npy`);
      await writeFile(path, writeNpy(value));
      saved[name] = path;
    }
  } catch (cause) {
    throw new CommandError(exitCodes.failure, `cannot write to '${folder}': ${(cause as Error).message}`, { cause });
  }
  return saved;
}
