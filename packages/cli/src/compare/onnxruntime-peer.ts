/** ONNX Runtime, where the user has installed `onnxruntime-node`. */

import { writeFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type DType, isDType, Tensor, type TensorData } from '@tensorwright/core';
import type * as Ort from 'onnxruntime-node';
import type { ModelFile } from '../onnx/model-file.js';
import type { Peer } from './peer.js';

type OrtModule = typeof Ort;

/** dtypes that tensors of onnxruntime-node can have. */
const shared: ReadonlySet<DType> = new Set([
  'float32',
  'float64',
  'float16',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'string',
  'int4',
  'uint4',
]);

export function sharedWithOnnxRuntime(dtype: DType): boolean {
  return shared.has(dtype);
}

/** From this package's place, then from the user's folder; undefined where it is not installed. */
export async function loadOnnxRuntime(): Promise<OrtModule | undefined> {
  try {
    return await import('onnxruntime-node');
  } catch (error) {
    if (!notFound(error)) throw error;
  }
  try {
    const path = createRequire(join(process.cwd(), 'package.json')).resolve('onnxruntime-node');
    return (await import(pathToFileURL(path).href)) as OrtModule;
  } catch (error) {
    if (!notFound(error)) throw error;
    return undefined;
  }
}

function notFound(error: unknown): boolean {
  return ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes((error as NodeJS.ErrnoException).code ?? '');
}

export interface OnnxRuntimeModel {
  readonly path: string;
  /** The file, or a rewritten version of it. */
  readonly bytes: Uint8Array;
  readonly file: ModelFile;
}

export async function onnxRuntimePeer(
  ort: OrtModule,
  model: OnnxRuntimeModel,
  threads: number | undefined,
): Promise<Peer> {
  const session = await createSession(ort, model, {
    // Its own fusions would hide what an operator gives by itself.
    graphOptimizationLevel: 'disabled',
    executionMode: 'sequential',
    logSeverityLevel: 3,
    ...(threads !== undefined && { intraOpNumThreads: threads, interOpNumThreads: 1 }),
  });
  return {
    name: `onnxruntime-node ${ort.env.versions.node ?? ''}`.trim(),
    async run(inputs) {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, tensor]) => [name, toOrt(ort, name, tensor)]),
      );
      const results = await session.run(feeds);
      return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, fromOrt(name, value)]));
    },
    close: () => session.release(),
  };
}

async function createSession(
  ort: OrtModule,
  { path, bytes, file }: OnnxRuntimeModel,
  options: Ort.InferenceSession.SessionOptions,
): Promise<Ort.InferenceSession> {
  if (bytes === file.bytes) return ort.InferenceSession.create(path, options);
  if (!file.hasExternalData) return ort.InferenceSession.create(bytes, options);
  // External data is looked for beside the model.
  const temporary = join(dirname(path), `.tensorwright-${process.pid}-${Date.now()}.onnx`);
  try {
    await writeFile(temporary, bytes);
    return await ort.InferenceSession.create(temporary, options);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Bit patterns of float16 are a Float16Array where the platform has one. */
const Float16 = (
  globalThis as { Float16Array?: new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayBufferView }
).Float16Array;

function toOrt(ort: OrtModule, name: string, tensor: Tensor): Ort.Tensor {
  if (!shared.has(tensor.dtype)) throw new Error(`input '${name}': onnxruntime-node has no ${tensor.dtype} tensors`);
  let data: unknown = tensor.data;
  if (tensor.dtype === 'float16' && Float16) {
    const bits = tensor.data as Uint16Array;
    data = new Float16(bits.buffer, bits.byteOffset, bits.length);
  }
  return new ort.Tensor(tensor.dtype as 'float32', data as Float32Array, tensor.dims);
}

function fromOrt(name: string, tensor: Ort.Tensor): Tensor {
  const dtype: string = tensor.type;
  if (!isDType(dtype)) throw new Error(`output '${name}' has the type ${dtype}, which cannot be compared`);
  const data = tensor.data as TensorData;
  if (dtype === 'float16' && !(data instanceof Uint16Array)) {
    const view = data as unknown as Uint8Array;
    return new Tensor('float16', new Uint16Array(view.buffer, view.byteOffset, view.byteLength / 2), tensor.dims);
  }
  return new Tensor(dtype, data, tensor.dims);
}
