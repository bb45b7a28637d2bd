/** Plugins out of shared libraries, written in C or C++ against tensorwright/plugin.h. */

import {
  type Attributes,
  type Dim,
  type InferContext,
  type KernelProblem,
  type LibraryBackend,
  type LibraryFile,
  type LibraryKernels,
  type Operator,
  type PlanAttribute,
  pluginTitle,
  provideLibraryKernels,
  tensorType,
  TensorwrightError,
  type Type,
} from '@tensorwright/core';
import {
  loadNative,
  type PluginInference,
  type PluginLibraryHandle,
  type PluginRecord,
  type PluginShape,
} from '@tensorwright/native';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { addLayer } from './add-layer.js';
import { checkPattern } from './check-pattern.js';
import { rememberPlugin } from './defined.js';
import type { Field, FieldSchema } from './fields.js';
import { extentOf } from './library-extents.js';
import { type Infer, libraryOperator } from './library-operator.js';
import { libraryOfPackage } from './library-package.js';
import { checkPatternConstants, patternsOfLibrary } from './library-patterns.js';
import { patternsOf } from './patterns.js';
import type { Plugin } from './plugin.js';
import { aliasPositions, checkSharedShapes } from './shared-memory.js';

/** '@acme/plugins' */
const scopedPackage = /^@[^/\\]+\/[^/\\]+$/;

/** A shared library of plugins. `PluginLibrary.load` opens it. */
export class PluginLibrary {
  /** Of the file. */
  readonly path: string;
  /** To be registered: `registry.register(library.plugins[0])`. */
  readonly plugins: readonly Plugin[];
  readonly #handle: PluginLibraryHandle;
  readonly #withdraw: readonly (() => void)[];

  private constructor(path: string) {
    this.path = path;
    const digest = digestOf(path);
    const file: LibraryFile = { path, read: () => readUnchanged(path, digest) };
    this.#handle = loadNative().openPlugins(path);
    const withdraw: (() => void)[] = [];
    try {
      this.plugins = this.#handle.plugins().map((record, position) => {
        const shared = libraryOperator(record);
        const infer: Infer = (c) => this.#infer(position, record, c);
        shared.inferences.push(infer);
        withdraw.push(() => shared.inferences.splice(shared.inferences.indexOf(infer), 1));
        const plugin = this.#plugin(position, record, shared.operator);
        for (const backend of ['cpu', 'cuda'] as const)
          withdraw.push(
            provideLibraryKernels(backend, plugin.operator.name, {
              ...this.#kernels(plugin, record, position, backend),
              producer: `${plugin.title} ${digest.slice(0, 16)}`,
              library: file,
            }),
          );
        return plugin;
      });
    } catch (error) {
      for (const undo of withdraw) undo();
      this.#handle.close();
      throw asRefusal(error, path);
    }
    this.#withdraw = withdraw;
  }

  /**
   * Loads a library: a shared library's path, or the name of an npm package whose package.json names its library in
   * `tensorwright.plugins`, for all platforms or one for each: `{ "linux-x64": "….so" }`. Packages are looked for from
   * the file `from`, a path or a URL; default: the working folder. Plans that call its plugins can be built and loaded until it is closed.
   * @throws ERR_PLUGIN when the file is no plugin library, or one for another interface
   */
  static load(library: string, from: string | URL = join(process.cwd(), 'package.json')): PluginLibrary {
    const isPath = /\.(so|dylib|dll|node)$/.test(library) || (/[/\\]/.test(library) && !scopedPackage.test(library));
    return new PluginLibrary(isPath ? resolve(library) : libraryOfPackage(library, from));
  }

  /** Types and shapes of the outputs of the plugin at a position. */
  #infer(position: number, record: PluginRecord, c: InferContext): readonly Type[] {
    const unknowns: Dim[] = [];
    const inputs = record.inputs.map((_, i): PluginShape | null => {
      if (!c.has(i)) return null;
      const { dtype } = c.tensor(i);
      const dims = c.dims(i).map((d) => (typeof d === 'number' ? d : (unknowns.push(d), null)));
      return { dtype, dims };
    });
    const { outputs, dataDependent } = this.#inferred(position, record, c, inputs);
    const fresh = dataDependent.map(([min, max], i) => c.fresh(`${record.name}${String(i)}`, { min, max }));
    const shapes = outputs.map(({ dtype, dims }) => ({
      dtype,
      dims: dims.map((code) => extentOf(code, unknowns, fresh)),
    }));
    const given = record.inputs.map((_, i) => (c.has(i) ? { dtype: c.tensor(i).dtype, dims: c.dims(i) } : undefined));
    checkSharedShapes({ ...record, title: pluginTitle(record) }, given, shapes);
    return shapes.map(({ dtype, dims }) => tensorType(dtype, dims));
  }

  /** What the plugin itself says against a call refuses it: another one may be right. */
  #inferred(
    position: number,
    record: PluginRecord,
    c: InferContext,
    inputs: readonly (PluginShape | null)[],
  ): PluginInference {
    try {
      return this.#handle.infer(position, fieldAttributes(record, c.attributes), inputs);
    } catch (error) {
      const refusal = `plugin ${pluginTitle(record)}: infer failed: `;
      if (TensorwrightError.is(error) && error.message.startsWith(refusal)) return c.fail(error.message);
      throw error;
    }
  }

  /** Plans that are loaded go on; none can be built or loaded any more. A second call does nothing. */
  close(): void {
    if (this.#handle.closed) return;
    for (const undo of this.#withdraw) undo();
    this.#handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #plugin(position: number, record: PluginRecord, operator: Operator): Plugin {
    const { name, version, namespace, inputs, outputs } = record;
    const key = { name, version, namespace };
    const title = pluginTitle(key);
    const fields: FieldSchema = Object.fromEntries(
      record.fields.map((f): [string, Field<unknown>] => [f.name, { kind: f.kind, default: f.default }]),
    );
    const base = { key, title, fields, inputs, outputs, operator, implementations: ['library'] as const };
    const patterns = patternsOfLibrary(this.#handle, record, position);
    checkPatternConstants(title, record);
    patterns.forEach((pattern, i) => {
      checkPattern(title, base, pattern, i);
    });
    const plugin: Plugin = {
      ...base,
      ...(patterns.length > 0 && { patterns: patternsOf(base, patterns) }),
      addTo: (network, given, ...rest) => addLayer(plugin, network, given, rest),
    };
    rememberPlugin(plugin);
    return plugin;
  }

  #kernels(
    { key, title }: Plugin,
    record: PluginRecord,
    position: number,
    backend: LibraryBackend,
  ): Pick<LibraryKernels, 'key' | 'aliases' | 'refuses' | 'attributes'> {
    const aliases = aliasPositions(record.inputs, record.outputs, record.aliases);
    return {
      key,
      ...(aliases.some((i) => i !== undefined) && { aliases }),
      refuses: (problem) => {
        const { inputs, outputs } = shapesOf(problem);
        const fields = fieldAttributes(record, problem.attributes);
        return this.#handle.supports(position, fields, inputs, outputs, backend)
          ? undefined
          : `plugin ${title} does not run on ${backend} with operands of these types`;
      },
      attributes: ({ attributes }) => ({ ...key, ...fieldAttributes(record, attributes) }),
    };
  }
}

/** What its records say is the library's fault, whoever found it. */
function asRefusal(error: unknown, path: string): unknown {
  if (!TensorwrightError.is(error) || error.code === 'ERR_PLUGIN') return error;
  return new TensorwrightError('ERR_PLUGIN', `${path}: ${error.message}`, { ...error.details, path }, { cause: error });
}

/** @throws ERR_PLUGIN when there is no such file */
function read(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new TensorwrightError('ERR_PLUGIN', `${path}: the plugin library cannot be read`, { path }, { cause });
  }
}

function digestOf(path: string): string {
  return createHash('sha256').update(read(path)).digest('hex');
}

/** The bytes that were loaded: what a plan carries must be what its build asked. */
function readUnchanged(path: string, digest: string): Uint8Array {
  const bytes = read(path);
  if (createHash('sha256').update(bytes).digest('hex') === digest) return bytes;
  throw new TensorwrightError('ERR_PLUGIN', `${path}: the plugin library has changed since it was loaded`, { path });
}

/** As the native step has them. */
function fieldAttributes(record: PluginRecord, attributes: Attributes): Record<string, PlanAttribute> {
  return Object.fromEntries(
    record.fields
      .filter(({ name }) => attributes[name] !== undefined)
      .map(({ name, kind }) => [`field:${name}`, fieldAttribute(kind, attributes[name] as PlanAttribute)]),
  );
}

/** As a text where it is a number that JSON does not know. */
function fieldAttribute(kind: string, value: PlanAttribute): PlanAttribute {
  const text = (n: unknown): string => (Object.is(n, -0) ? '-0' : String(n));
  const isPlain = (n: unknown): boolean => Number.isFinite(n) && !Object.is(n, -0);
  if (kind === 'float') return isPlain(value) ? value : text(value);
  if (kind === 'floats') return (value as readonly number[]).every(isPlain) ? value : (value as number[]).map(text);
  return value;
}

function shapesOf(problem: KernelProblem): { inputs: (PluginShape | null)[]; outputs: PluginShape[] } {
  const shape = ({ dtype, dims }: KernelProblem['outputs'][number]): PluginShape => ({
    dtype,
    dims: dims.map((d) => (typeof d === 'number' ? d : null)),
  });
  return { inputs: problem.inputs.map((o) => (o ? shape(o) : null)), outputs: problem.outputs.map(shape) };
}
