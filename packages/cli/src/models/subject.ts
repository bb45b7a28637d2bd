/** The file that a command is about: an ONNX model or a plan. */

import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type DType, formatDim, type Network, whyUnreadable } from '@tensorwright/core';
import { CommandError, usageError } from '../exit-codes.js';
import type { Reporter } from '../output/reporter.js';
import type { ShapedInput } from '../options/shapes.js';

const planMagic = Buffer.from('TWPLAN\r\n', 'latin1');

/** @throws usage error when the file cannot be read */
export async function kindOfFile(path: string): Promise<'model' | 'plan'> {
  const start = Buffer.alloc(planMagic.length);
  try {
    const found = await stat(path);
    // What is read of a pipe is gone.
    if (!found.isFile() && !found.isDirectory())
      throw usageError(`'${path}': it is no regular file; write what comes from it into one`);
    const file = await open(path, 'r');
    try {
      await file.read(start, 0, start.length, 0);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    throw usageError(`'${path}': ${whyUnreadable(cause)}`);
  }
  return start.equals(planMagic) ? 'plan' : 'model';
}

/** @throws usage error for a plan */
export async function requireModel(path: string, command: string): Promise<void> {
  if ((await kindOfFile(path)) === 'plan')
    throw usageError(`${command} takes an ONNX model, and '${basename(path)}' is a plan`);
}

export async function parseModel(path: string, reporter: Reporter, signal: AbortSignal): Promise<Network> {
  const { OnnxParser } = await import('@tensorwright/parser-onnx');
  return OnnxParser.parseFile(path, { logger: reporter.logger, signal });
}

/** The inputs of a network as an engine describes its own. */
export function networkInputs(network: Network): (ShapedInput & { readonly dtype: DType | undefined })[] {
  return network.inputs.map(({ name, value: { type } }) => ({
    name,
    dtype: type.kind === 'tensor' ? type.dtype : undefined,
    dims: type.kind === 'tensor' ? type.dims?.map((d) => (typeof d === 'number' ? d : formatDim(d))) : undefined,
  }));
}
