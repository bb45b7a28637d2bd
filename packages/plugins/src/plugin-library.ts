/** Plugins out of shared libraries, written in C or C++ against tensorwright/plugin.h. */

import {
  addDims,
  applyDimFunction,
  type Attributes,
  type Dim,
  type DimFunction,
  type InferContext,
  type KernelProblem,
  type LibraryBackend,
  type LibraryFile,
  type LibraryKernels,
  mulDims,
  type Operator,
  type PlanAttribute,
  pluginOperatorName,
  pluginTitle,
  provideLibraryKernels,
  registerOperator,
  subDims,
  tensorType,
  TensorwrightError,
  type Type,
} from '@tensorwright/core';
import { loadNative, type PluginLibraryHandle, type PluginRecord, type PluginShape } from '@tensorwright/native';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { addLayer } from './add-layer.js';
import { rememberPlugin } from './defined.js';
import type { Field, FieldSchema } from './fields.js';
import { checkKey } from './plugin-key.js';
import type { Plugin } from './plugin.js';

type Infer = (c: InferContext) => readonly Type[];

/** An operator of libraries: one for all that have the plugin, of which the one loaded last infers its types. */
interface LibraryOperator {
  readonly operator: Operator;
  /** What the operator takes, as text: libraries of one plugin must agree. */
  readonly signature: string;
  readonly inferences: Infer[];
}

const operators = new Map<string, LibraryOperator>();

/** '@acme/plugins' */
const scopedPackage = /^@[^/\\]+\/[^/\\]+$/;

export class PluginLibrary {
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
        const shared = operatorOf(record);
        const infer: Infer = (c) => this.#infer(position, record, c);
        shared.inferences.push(infer);
        withdraw.push(() => shared.inferences.splice(shared.inferences.indexOf(infer), 1));
        const plugin = pluginOf(record, shared.operator);
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
      throw error;
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
    return new PluginLibrary(isPath ? resolve(library) : inPackage(library, from));
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
    const { outputs, dataDependent } = this.#handle.infer(position, fieldAttributes(record, c.attributes), inputs);
    const fresh = dataDependent.map(([min, max], i) => c.fresh(`${record.name}${String(i)}`, { min, max }));
    return outputs.map(({ dtype, dims }) =>
      tensorType(
        dtype,
        dims.map((code) => extentOf(code, unknowns, fresh)),
      ),
    );
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

  #kernels(
    { key, title }: Plugin,
    record: PluginRecord,
    position: number,
    backend: LibraryBackend,
  ): Pick<LibraryKernels, 'key' | 'refuses' | 'attributes'> {
    return {
      key,
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

function inPackage(name: string, from: string | URL): string {
  const fail = (message: string, cause?: unknown): never => {
    throw new TensorwrightError('ERR_PLUGIN', `package '${name}': ${message}`, { package: name }, { cause });
  };
  let file: string;
  try {
    file = createRequire(from).resolve(`${name}/package.json`);
  } catch (cause) {
    return fail('it is not installed, or does not export its package.json', cause);
  }
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { tensorwright?: { plugins?: unknown } };
  const named = manifest.tensorwright?.plugins;
  const platform = `${process.platform}-${process.arch}`;
  const isByPlatform = typeof named === 'object' && named !== null;
  const library = isByPlatform ? (named as Record<string, unknown>)[platform] : named;
  if (typeof library !== 'string')
    return fail(
      isByPlatform
        ? `its package.json names no library for ${platform}, only for ${Object.keys(named).join(', ')}`
        : 'its package.json names no library: { "tensorwright": { "plugins": "build/….so" } }',
    );
  return join(dirname(file), library);
}

function pluginOf(record: PluginRecord, operator: Operator): Plugin {
  const key = { name: record.name, version: record.version, namespace: record.namespace };
  const title = pluginTitle(key);
  const fields: FieldSchema = Object.fromEntries(
    record.fields.map(({ name, kind, default: fallback }): [string, Field<unknown>] => [
      name,
      { kind, default: fallback },
    ]),
  );
  const { inputs, outputs } = record;
  const plugin: Plugin = {
    key,
    title,
    fields,
    inputs,
    outputs,
    operator,
    implementations: ['library'],
    addTo: (network, given, ...rest) => addLayer(plugin, network, given, rest),
  };
  rememberPlugin(plugin);
  return plugin;
}

/** @throws ERR_PLUGIN when a library before has the plugin with other inputs, outputs or fields */
function operatorOf(record: PluginRecord): LibraryOperator {
  const { inputs, outputs, fields } = record;
  checkKey(record);
  const [name, title] = [pluginOperatorName(record), pluginTitle(record)];
  const signature = JSON.stringify([inputs, outputs, fields]);
  const known = operators.get(name);
  if (known && known.signature !== signature)
    throw new TensorwrightError(
      'ERR_PLUGIN',
      `plugin ${title} was loaded before with other inputs, outputs or fields: give it another version`,
      { plugin: title },
    );
  if (known) return known;
  const inferences: Infer[] = [];
  const operator = registerOperator({
    name,
    kind: 'opaque',
    custom: true,
    inputs,
    outputs,
    attributes: Object.fromEntries(fields.map((f) => [f.name, f.default])),
    infer: (c) => {
      const infer = inferences.at(-1);
      if (!infer)
        throw new TensorwrightError('ERR_PLUGIN', `the library of plugin ${title} is closed`, { plugin: title });
      return infer(c);
    },
  });
  const made = { operator, signature, inferences };
  operators.set(name, made);
  return made;
}

/** As the native step has them. */
function fieldAttributes(record: PluginRecord, attributes: Attributes): Record<string, PlanAttribute> {
  return Object.fromEntries(
    record.fields
      .filter(({ name }) => attributes[name] !== undefined)
      .map(({ name }) => [`field:${name}`, attributes[name] as PlanAttribute]),
  );
}

function shapesOf(problem: KernelProblem): { inputs: (PluginShape | null)[]; outputs: PluginShape[] } {
  const shape = ({ dtype, dims }: KernelProblem['outputs'][number]): PluginShape => ({
    dtype,
    dims: dims.map((d) => (typeof d === 'number' ? d : null)),
  });
  return { inputs: problem.inputs.map((o) => (o ? shape(o) : null)), outputs: problem.outputs.map(shape) };
}

/** An extent out of the library's postfix code. */
function extentOf(code: readonly string[], unknowns: readonly Dim[], fresh: readonly Dim[]): Dim {
  const stack: Dim[] = [];
  for (const token of code) {
    if (/^-?\d+$/.test(token)) stack.push(Number(token));
    else if (token.startsWith('x')) stack.push(unknowns[Number(token.slice(1))]!);
    else if (token.startsWith('f') && token !== 'floordiv') stack.push(fresh[Number(token.slice(1))]!);
    else {
      const b = stack.pop()!;
      const a = stack.pop()!;
      stack.push(combine(token, a, b));
    }
  }
  return stack[0]!;
}

function combine(operation: string, a: Dim, b: Dim): Dim {
  if (operation === '+') return addDims(a, b);
  if (operation === '-') return subDims(a, b);
  return operation === '*' ? mulDims(a, b) : applyDimFunction(operation as DimFunction, a, b);
}
