/** An ONNX file as a list of nodes with named tensors between them, and the same file with more outputs. */

import { TensorwrightError } from '@tensorwright/core';
import { delimited, type Field, fieldsOf, textOf } from './wire.js';

export interface FileNode {
  /** As the parser calls it: its own name, else that of its first output. */
  readonly name: string;
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface ModelFile {
  readonly bytes: Uint8Array;
  /** Of the main graph, in the file's order. */
  readonly nodes: readonly FileNode[];
  readonly outputs: readonly string[];
  /** Weights lie in other files of the same folder. */
  readonly hasExternalData: boolean;
}

// Field numbers of onnx.proto.
const modelGraph = 7;
const graph = { node: 1, initializer: 5, output: 12 } as const;
const node = { input: 1, output: 2, name: 3, operator: 4, domain: 7 } as const;
const valueName = 1;
const tensorLocation = 14;
const external = 1;

/**
 * @param path for errors
 * @throws ERR_INVALID_MODEL
 */
export function readModelFile(bytes: Uint8Array, path: string): ModelFile {
  try {
    return readMessages(bytes);
  } catch (error) {
    if (!TensorwrightError.is(error)) throw error;
    throw new TensorwrightError(error.code, `${path}: ${error.message}`, { ...error.details, path }, { cause: error });
  }
}

function readMessages(bytes: Uint8Array): ModelFile {
  if (bytes.length === 0) throw new TensorwrightError('ERR_INVALID_MODEL', 'the file is empty');
  const nodes: FileNode[] = [];
  const outputs: string[] = [];
  let hasExternalData = false;
  for (const field of fieldsOf(graphOf(bytes).bytes!)) {
    if (!field.bytes) continue;
    if (field.number === graph.node) nodes.push(readNode(field.bytes, nodes.length));
    else if (field.number === graph.output) outputs.push(nameOf(field.bytes));
    else if (field.number === graph.initializer) hasExternalData ||= isExternal(field.bytes);
  }
  return { bytes, nodes, outputs, hasExternalData };
}

/** The same model with the tensors of these names as further outputs. Their types are left to inference. */
export function withOutputs(file: ModelFile, names: readonly string[]): Uint8Array {
  const old = graphOf(file.bytes);
  const utf8 = new TextEncoder();
  const added = names.flatMap((name) => delimited(graph.output, ...delimited(valueName, utf8.encode(name))));
  return Buffer.concat([
    file.bytes.subarray(0, old.begin),
    ...delimited(modelGraph, old.bytes!, ...added),
    file.bytes.subarray(old.end),
  ]);
}

function graphOf(bytes: Uint8Array): Field {
  for (const field of fieldsOf(bytes)) if (field.number === modelGraph && field.bytes) return field;
  throw new TensorwrightError('ERR_INVALID_MODEL', 'the model has no graph');
}

function readNode(bytes: Uint8Array, index: number): FileNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  let name = '';
  let type = '';
  let domain = '';
  for (const field of fieldsOf(bytes)) {
    if (field.number === node.input) inputs.push(textOf(field));
    else if (field.number === node.output) outputs.push(textOf(field));
    else if (field.number === node.name) name = textOf(field);
    else if (field.number === node.operator) type = textOf(field);
    else if (field.number === node.domain) domain = textOf(field);
  }
  if (name === '') name = outputs.find((o) => o !== '') ?? `${type}_${index}`;
  return { name, operator: domain === '' || domain === 'ai.onnx' ? type : `${domain}.${type}`, inputs, outputs };
}

function nameOf(valueInfo: Uint8Array): string {
  for (const field of fieldsOf(valueInfo)) if (field.number === valueName) return textOf(field);
  return '';
}

function isExternal(tensor: Uint8Array): boolean {
  for (const field of fieldsOf(tensor)) if (field.number === tensorLocation) return field.integer === external;
  return false;
}
