/** ONNX files to networks. */

import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  Breather,
  type NamedValue,
  type Network,
  type Steps,
  TensorwrightError,
  type Type,
  type Value,
  whyUnreadable,
} from '@tensorwright/core';
import { ExternalData } from './external-data.js';
import { foreignFormat } from './foreign-formats.js';
import { keyOfFunction } from './functions.js';
import { GraphImporter } from './graph-importer.js';
import { canonicalDomain, type Environment, ModelContext, ParseAborted } from './model-context.js';
import { irVersions } from './opsets.js';
import { parserSettings, type ParseOptions, type ParserSettings } from './options.js';
import { ImportFailure } from './problems.js';
import { type FunctionProto, type GraphProto, type ModelProto, toNumber, type ValueInfoProto } from './proto/decode.js';
import { decodeModel } from './proto/decode-model.js';
import { failed, Scope } from './scope.js';
import { checkAgainst, type Declared } from './type-check.js';
import { checkWireSize } from './wire-check.js';

/** Reads ONNX models: from files with their external data, or from bytes. */
export class OnnxParser {
  private constructor() {
    // Static methods only.
  }

  /**
   * Reads a model from bytes, which stay referenced: constants are views into them.
   * @throws ERR_INVALID_MODEL, ERR_UNSUPPORTED or ERR_EXTERNAL_DATA listing all problems (`details.problems`),
   * ERR_LIMIT_EXCEEDED, ERR_INVALID_OPTION, or the signal's reason
   */
  static async parse(bytes: Uint8Array, options: ParseOptions = {}): Promise<Network> {
    const settings = parserSettings(options);
    if (!(bytes instanceof Uint8Array))
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        'OnnxParser.parse takes the bytes of a model as a Uint8Array',
      );
    return parseModel(bytes, settings, settings.path);
  }

  /** Reads a model file; external data is looked for in its folder, and read when it is needed. */
  static async parseFile(path: string, options: ParseOptions = {}): Promise<Network> {
    const settings = parserSettings(options);
    if (typeof path !== 'string')
      throw new TensorwrightError('ERR_INVALID_ARGUMENT', 'OnnxParser.parseFile takes the path of a model');
    const bytes = await readModel(path, settings);
    return parseModel(bytes, settings, path);
  }
}

async function readModel(path: string, { maxModelBytes, signal }: ParserSettings): Promise<Uint8Array> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw new TensorwrightError('ERR_INVALID_MODEL', `${path}: ${whyUnreadable(cause)}`, { path }, { cause });
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new TensorwrightError('ERR_INVALID_MODEL', `${path}: not a regular file`, { path });
    checkSize(stats.size, maxModelBytes, path);
    const bytes = new Uint8Array(stats.size);
    for (let at = 0; at < bytes.length;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(bytes, at, Math.min(bytes.length - at, 1 << 26), at);
      if (bytesRead === 0)
        throw new TensorwrightError('ERR_INVALID_MODEL', `${path}: the file ends at ${at} of ${bytes.length} bytes`, {
          path,
        });
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

function checkSize(size: number, limit: number, what: string): void {
  if (size > limit) {
    throw new TensorwrightError(
      'ERR_LIMIT_EXCEEDED',
      `${what}: the model has ${size} bytes, the limit is ${limit} (option maxModelBytes)`,
      { option: 'maxModelBytes', limit },
    );
  }
}

async function parseModel(bytes: Uint8Array, settings: ParserSettings, path: string | undefined): Promise<Network> {
  const what = path ?? 'model';
  const breather = new Breather(settings.signal);
  checkSize(bytes.length, settings.maxModelBytes, what);
  settings.signal?.throwIfAborted();
  if (bytes.length === 0) throw new TensorwrightError('ERR_INVALID_MODEL', `${what}: the file is empty`);
  const other = foreignFormat(bytes);
  if (other !== undefined)
    throw new TensorwrightError('ERR_INVALID_MODEL', `${what}: it is no ONNX model but ${other}`);
  checkWireSize(bytes, settings, what);
  await breather.breathe();
  // A subgraph takes three messages: attribute, graph, node.
  const proto = await breather.drive(decodeModel(bytes, what, 3 * settings.maxDepth + 16));
  await breather.breathe();
  try {
    return await breather.drive(importModel(proto, settings, what, lazyData(settings, path)));
  } catch (error) {
    if (error instanceof ParseAborted) throw error.error;
    throw error;
  }
}

function* importModel(
  proto: ModelProto,
  settings: ParserSettings,
  what: string,
  external: ExternalData | undefined,
): Steps<Network> {
  const functions = functionsOf(proto);
  const model = new ModelContext(settings, { external, maxConstantBytes: settings.maxConstantBytes }, functions.map);
  for (const name of functions.duplicates)
    model.problems.add({ code: 'ERR_INVALID_MODEL', node: `function '${name}'`, reason: 'it is defined twice' });
  const opsets = checkedHeader(proto, model, what);
  const graph = proto.graph;
  if (!graph) {
    model.problems.add({ code: 'ERR_INVALID_MODEL', node: 'model', reason: 'it has no graph' });
    model.problems.throwIfAny(what);
    throw new TensorwrightError('ERR_INTERNAL', 'unreachable');
  }
  const environment: Environment = { opsets, parameters: undefined, path: '', calls: [], depth: 0 };
  const scope = new Scope();
  const inputs = importInputs(graph, model, scope);
  yield* new GraphImporter(model, environment).bodySteps(graph, scope);
  const outputs = importOutputs(graph, model, scope);
  checkHints(graph, model, scope);
  model.problems.throwIfAny(what);
  if (proto.trainingInfo && proto.trainingInfo.length > 0)
    model.warn('training_info is ignored: only the inference graph is imported');
  return {
    name: graph.name ?? '',
    graph: { inputs: inputs.map((i) => i.value), outputs: outputs.map((o) => o.value) },
    builder: model.builder,
    inputs,
    outputs,
    metadata: metadataOf(proto),
    opsets: Object.fromEntries(opsets),
  };
}

/** The folder is looked at only when a tensor asks for external data. */
function lazyData({ externalDataFolder }: ParserSettings, path: string | undefined): ExternalData | undefined {
  const folder = externalDataFolder ?? (path === undefined ? undefined : dirname(path));
  if (folder === undefined) return undefined;
  try {
    return new ExternalData(folder, path);
  } catch {
    return undefined;
  }
}

function functionsOf(proto: ModelProto): { map: ReadonlyMap<string, FunctionProto>; duplicates: string[] } {
  const map = new Map<string, FunctionProto>();
  const duplicates: string[] = [];
  for (const f of proto.functions ?? []) {
    const key = keyOfFunction(f);
    if (map.has(key)) duplicates.push(key);
    map.set(key, f);
  }
  return { map, duplicates };
}

function checkedHeader(proto: ModelProto, model: ModelContext, what: string): ReadonlyMap<string, number> {
  const ir = toNumber(proto.irVersion);
  if (ir < irVersions.oldest || ir > irVersions.newest) {
    model.problems.add({
      code: ir === 0 ? 'ERR_INVALID_MODEL' : 'ERR_UNSUPPORTED',
      node: 'model',
      reason:
        ir === 0
          ? 'it has no IR version: this is no ONNX model'
          : `IR version ${ir} is not supported; versions ${irVersions.oldest} to ${irVersions.newest} are`,
    });
    model.problems.throwIfAny(what);
  }
  const opsets = new Map<string, number>();
  for (const o of proto.opsetImport ?? []) {
    const domain = canonicalDomain(o.domain);
    const version = toNumber(o.version);
    if (!Number.isSafeInteger(version) || version < 1)
      model.problems.add({
        code: 'ERR_INVALID_MODEL',
        node: 'model',
        reason: `opset version ${version} of ${domain} must be a positive integer`,
      });
    if (opsets.has(domain) && opsets.get(domain) !== version)
      model.problems.add({ code: 'ERR_INVALID_MODEL', node: 'model', reason: `it imports two opsets of ${domain}` });
    opsets.set(domain, version);
  }
  return opsets;
}

/** Inputs that no initializer gives: up to IR version 3 initializers are listed among them, later ones are defaults. */
function importInputs(graph: GraphProto, model: ModelContext, scope: Scope): NamedValue[] {
  const initialized = new Set<string>();
  for (const t of graph.initializer ?? []) initialized.add(t.name ?? '');
  for (const t of graph.sparseInitializer ?? []) initialized.add(t.values?.name ?? '');
  const inputs: NamedValue[] = [];
  for (const info of graph.input ?? []) {
    const name = info.name ?? '';
    if (initialized.has(name)) continue;
    const node = `input '${name}'`;
    if (name === '') {
      model.problems.add({ code: 'ERR_INVALID_MODEL', node, reason: 'it has no name' });
      continue;
    }
    const type = declaredType(info, model, node);
    const value = type && model.builder.input(name, type);
    if (!scope.define(name, value ?? failed))
      model.problems.add({ code: 'ERR_INVALID_MODEL', node, reason: 'the name is taken by another input' });
    else if (value) inputs.push({ name, value });
  }
  return inputs;
}

function declaredType(info: ValueInfoProto, model: ModelContext, node: string): Type | undefined {
  try {
    return model.symbols.type(info.type, info.name ?? '');
  } catch (error) {
    if (!(error instanceof ImportFailure)) throw error;
    model.problems.add({
      code: error.code,
      node,
      reason: error.message,
      ...(error.hint !== undefined && { hint: error.hint }),
    });
    return undefined;
  }
}

function importOutputs(graph: GraphProto, model: ModelContext, scope: Scope): NamedValue[] {
  const outputs: NamedValue[] = [];
  const seen = new Set<string>();
  for (const info of graph.output ?? []) {
    const name = info.name ?? '';
    const node = `output '${name}'`;
    const binding = scope.lookup(name);
    if (seen.has(name))
      model.problems.add({ code: 'ERR_INVALID_MODEL', node, reason: 'the name is taken by another output' });
    seen.add(name);
    if (binding === undefined)
      model.problems.add({ code: 'ERR_INVALID_MODEL', node, reason: 'it is given by no node, input or initializer' });
    if (binding === undefined || binding === failed) continue;
    check(info, binding, model, node);
    outputs.push({ name, value: binding });
  }
  if ((graph.output ?? []).length === 0)
    model.problems.add({ code: 'ERR_INVALID_MODEL', node: 'model', reason: 'its graph has no outputs' });
  return outputs;
}

/** A wrong dtype is a problem, a contradicting shape a warning: exporters write both, and only the first cannot be meant. */
function check(info: ValueInfoProto, value: Value, model: ModelContext, node: string): void {
  let declared: Declared;
  try {
    declared = checkAgainst(info.type, value.type);
  } catch (error) {
    if (!(error instanceof ImportFailure)) throw error;
    model.problems.add({ code: error.code, node, reason: error.message });
    return;
  }
  if (declared.shape !== undefined) model.warn(`${node}: ${declared.shape}`);
}

function checkHints(graph: GraphProto, model: ModelContext, scope: Scope): void {
  for (const info of graph.valueInfo ?? []) {
    const binding = scope.lookup(info.name ?? '');
    if (binding !== undefined && binding !== failed && info.type)
      check(info, binding, model, `value '${info.name ?? ''}'`);
  }
}

function metadataOf(proto: ModelProto): Record<string, string> {
  const metadata: Record<string, string> = {};
  const own = {
    producerName: proto.producerName,
    producerVersion: proto.producerVersion,
    domain: proto.domain,
    docString: proto.docString,
  };
  for (const [key, value] of Object.entries(own)) if (value) metadata[key] = value;
  if (toNumber(proto.modelVersion) !== 0) metadata['modelVersion'] = String(toNumber(proto.modelVersion));
  for (const p of proto.metadataProps ?? []) if (p.key && p.key !== '__proto__') metadata[p.key] = p.value ?? '';
  return metadata;
}
