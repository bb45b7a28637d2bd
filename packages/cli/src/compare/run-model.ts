/** A model, built and run by us and by another implementation; then again, with tensors between its nodes as outputs. */

import { readFile } from 'node:fs/promises';
import type { Network, RuntimeValue } from '@tensorwright/core';
import { usageError } from '../exit-codes.js';
import { inputValues } from '../models/input-values.js';
import { networkInputs } from '../models/subject.js';
import type { Place } from '../models/value-files.js';
import { type ModelFile, readModelFile, withOutputs } from '../onnx/model-file.js';
import { buildOptionsOf, oneShape } from '../options/build-options.js';
import { profilesFrom } from '../options/shapes.js';
import type { Difference } from './difference.js';
import { type Execution, execute, type ExecutionJob } from './execute.js';
import { comparableMarks, type LayerDifference, layerDifferences, tensorsToMark } from './layers.js';
import type { Ran, RunSubject } from './ran.js';
import { readWanted, type WantedFiles, wantedOf } from './wanted-files.js';

type Inputs = ExecutionJob['inputs'];
type Values = Readonly<Record<string, RuntimeValue>>;

export interface LayeredModel extends RunSubject {
  readonly file: ModelFile;
  readonly inputs: Inputs;
}

export async function runModel(subject: RunSubject): Promise<Ran> {
  const { path, flags } = subject;
  const file = readModelFile(await readFile(path), path);
  let files: WantedFiles | undefined;
  const { peer, wanted, outputs, engine, inputs } = await executeBytes({ ...subject, file }, [], async (network) => {
    files = flags.loadOutputs && (await readWanted(flags.loadOutputs, outputsOf(network)));
  });
  const isCompared = !files && flags.against !== 'none';
  return {
    inputs,
    outputs,
    engine,
    peer: files ? 'files' : isCompared ? peer : undefined,
    wanted: files ? wantedOf(files, outputs) : isCompared ? wanted : undefined,
    ...(isCompared && { layered: { ...subject, file, inputs } }),
  };
}

function outputsOf(network: Network): Place[] {
  return network.outputs.map(({ name, value: { type } }) => ({
    name,
    dtype: type.kind === 'tensor' ? type.dtype : undefined,
  }));
}

interface ModelSubject extends RunSubject {
  readonly file: ModelFile;
  /** Default: of files, or seeded. */
  readonly inputs?: Inputs;
}

/**
 * @param marks tensors that are outputs besides those of the model
 * @param check what is to be found out before the network is built
 */
async function executeBytes(
  subject: ModelSubject,
  marks: readonly string[],
  check?: (network: Network) => Promise<void>,
): Promise<Execution & { readonly inputs: Inputs }> {
  const { path, file, flags, reporter, session } = subject;
  const bytes = marks.length === 0 ? file.bytes : withOutputs(file, marks);
  const network = await parseBytes(subject, bytes);
  await check?.(network);
  const shaped = networkInputs(network);
  const inputs =
    subject.inputs ??
    (await inputValues(shaped, { shapes: oneShape(flags), load: flags.loadInputs, seed: flags.seed }, reporter));
  const ranges = flags.minShapes ?? flags.optShapes ?? flags.maxShapes;
  const fixed = Object.fromEntries(
    shaped.filter((i) => i.dims?.some((d) => typeof d === 'string')).map(({ name }) => [name, inputs[name]!.dims]),
  );
  const job: ExecutionJob = {
    network,
    model: { path, bytes, file },
    inputs,
    build: buildOptionsOf(flags, ranges ? profilesFrom(flags, shaped) : [fixed]),
    against: flags.loadOutputs ? 'none' : flags.against,
    threads: flags.threads,
  };
  return { ...(await execute(job, reporter, session.signal)), inputs };
}

async function parseBytes({ path, reporter, session }: RunSubject, bytes: Uint8Array): Promise<Network> {
  const { OnnxParser } = await import('@tensorwright/parser-onnx');
  return OnnxParser.parse(bytes, { path, logger: reporter.logger, signal: session.signal });
}

/** @param compare of all outputs with what is wanted of them */
export async function runLayers(
  subject: LayeredModel,
  patterns: readonly string[],
  compare: (outputs: Values, wanted: Values) => readonly Difference[],
): Promise<LayerDifference[]> {
  const { file, flags, reporter } = subject;
  const candidates = tensorsToMark(file, patterns);
  if (candidates.length === 0) throw usageError(`--layers: no tensor between the nodes matches ${patterns.join(', ')}`);
  // Parsing once with all of them tells which are tensors.
  const types = await parseBytes(subject, withOutputs(file, candidates));
  const marks = comparableMarks(types, candidates, flags.against !== 'reference');
  reporter.note(`comparing ${marks.length} tensors between the nodes`);
  const execution = await executeBytes(subject, marks);
  const byName = new Map(compare(execution.outputs, execution.wanted).map((d) => [d.name, d]));
  return layerDifferences(file, execution.engine, byName);
}
