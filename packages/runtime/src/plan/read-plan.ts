/** From a plan's bytes to a header in which everything has been checked. */

import {
  decodePlanHeader,
  decodePlanPreamble,
  formatChecksum,
  type PlanHeader,
  planPreambleBytes,
  type PlanProgram,
  TensorwrightError,
  updateChecksum,
} from '@tensorwright/core';
import { setImmediate } from 'node:timers/promises';
import { checkProgram } from './check-program.js';
import { type Problem, within } from './check.js';
import { headerSchema } from './header-schema.js';
import type { PlanSource } from './plan-source.js';

/** Features of plans that this runtime knows. */
const knownFeatures: ReadonlySet<string> = new Set(['embedded-libraries']);

/** Read from the disk at once, which holds most headers whole. */
const firstReadBytes = 256 * 1024;
/** Checksummed between two turns of the event loop: about a millisecond. */
const sliceBytes = 4 << 20;

export interface WeightsSection {
  /** In the file. */
  readonly offset: number;
  readonly bytes: number;
  readonly digest: string;
}

export interface ReadPlan {
  readonly header: PlanHeader;
  /** undefined: the plan has no weights. */
  readonly weights: WeightsSection | undefined;
  /** Where the section of plugin libraries begins in the file; meaningless where the header names none. */
  readonly librariesOffset: number;
}

/** @throws ERR_INVALID_PLAN naming the field, or the features that this runtime does not know */
export async function readPlan(source: PlanSource): Promise<ReadPlan> {
  const { place, byteLength } = source;
  const first = await source.read(0, Math.min(byteLength, firstReadBytes));
  const preamble = decodePlanPreamble(first, byteLength, place);
  const { headerBytes, sectionsOffset } = preamble;
  const end = planPreambleBytes + headerBytes;
  const json =
    end <= first.length ? first.subarray(planPreambleBytes, end) : await source.read(planPreambleBytes, headerBytes);
  const header = decodePlanHeader(json, preamble, byteLength, place);
  refuse(place, checkFeatures(header) ?? headerSchema(header));
  refuse(place, checkHeader(header));
  const section = header.sections.find((s) => s.name === 'weights');
  const libraries = header.sections.find((s) => s.name === 'libraries');
  return {
    librariesOffset: sectionsOffset + (libraries?.offset ?? 0),
    header,
    weights:
      section && section.bytes > 0
        ? { offset: sectionsOffset + section.offset, bytes: section.bytes, digest: section.digest }
        : undefined,
  };
}

/**
 * Reads the section once and compares its checksum; the event loop runs in between.
 * @throws ERR_INVALID_PLAN, or the signal's reason
 */
export async function verifyWeights(
  source: PlanSource,
  { offset, bytes, digest }: WeightsSection,
  signal: AbortSignal | undefined,
): Promise<void> {
  let checksum = 0;
  // One buffer is filled by the disk while the other one is summed.
  const size = Math.min(bytes, sliceBytes);
  const buffers = source.bytes ? [] : [new Uint8Array(size), new Uint8Array(size)];
  const read = (at: number): Promise<Uint8Array> =>
    source.read(offset + at, Math.min(bytes - at, size), buffers[(at / size) % 2]);
  let next = read(0);
  for (let at = 0; at < bytes; at += size) {
    const slice = await next;
    signal?.throwIfAborted();
    if (at + size < bytes) {
      next = read(at + size);
      next.catch(() => undefined);
    }
    checksum = updateChecksum(slice, checksum);
    if (source.bytes) await setImmediate();
  }
  const actual = formatChecksum(checksum);
  if (actual === digest) return;
  const field = 'sections.weights.digest';
  throw new TensorwrightError(
    'ERR_INVALID_PLAN',
    `${source.place}: ${field}: the weights are damaged: their checksum is ${actual}, the header says ${digest}`,
    {
      file: source.place,
      field,
      expected: digest,
      received: actual,
    },
  );
}

function refuse(place: string, problem: Problem | undefined): void {
  if (!problem) return;
  const field = problem.path.replace(/^\./, '');
  throw new TensorwrightError('ERR_INVALID_PLAN', `${place}: ${field}: ${problem.message}`, { file: place, field });
}

/** First of all: a plan with unknown features may have fields that the rest of the checks would misunderstand. */
function checkFeatures(header: PlanHeader): Problem | undefined {
  const required: unknown = header.requires;
  if (!Array.isArray(required)) return undefined;
  const unknown = required.map(String).filter((f) => !knownFeatures.has(f));
  if (unknown.length === 0) return undefined;
  return {
    path: '.requires',
    message: `this runtime does not know ${unknown.map((f) => `'${f}'`).join(', ')}: use the runtime of the version that built the plan (${header.producer})`,
  };
}

function checkHeader(header: PlanHeader): Problem | undefined {
  const { program, sections } = header;
  if (new Set(sections.map((s) => s.name)).size !== sections.length)
    return { path: '.sections', message: 'a name occurs twice' };
  const weights = sections.find((s) => s.name === 'weights');
  const inProgram = checkProgram(program, weights?.bytes ?? 0);
  if (inProgram) return within('.program', inProgram);
  return (
    checkBindings('.inputs', header.inputs, program.inputs, program) ??
    checkBindings('.outputs', header.outputs, program.outputs, program) ??
    checkBackends(header) ??
    checkProfiles(header) ??
    checkLibraries(header)
  );
}

function checkBindings(
  path: string,
  bindings: PlanHeader['inputs'],
  values: readonly number[],
  program: PlanProgram,
): Problem | undefined {
  if (bindings.length !== values.length)
    return { path, message: `there are ${bindings.length}, the program has ${values.length}` };
  const names = new Set<string>();
  for (const [i, { name, value }] of bindings.entries()) {
    const at = `${path}[${String(i)}]`;
    if (names.has(name)) return { path: `${at}.name`, message: `'${name}' occurs twice` };
    names.add(name);
    if (value !== values[i])
      return { path: `${at}.value`, message: `expected ${String(values[i])}, received ${value}` };
    if (program.values[value]!.order)
      return { path: `${at}.value`, message: 'inputs and outputs of a plan are row-major' };
  }
  return undefined;
}

function checkBackends({ backends, program }: PlanHeader): Problem | undefined {
  const names = new Set(backends.map((b) => b.name));
  for (const [i, s] of program.segments.entries()) {
    if (!names.has(s.backend))
      return {
        path: `.program.segments[${String(i)}].backend`,
        message: `'${s.backend}' is not among the plan's backends`,
      };
  }
  return undefined;
}

function checkLibraries({ libraries = [], sections }: PlanHeader): Problem | undefined {
  const section = sections.find((s) => s.name === 'libraries')?.bytes ?? 0;
  for (const [i, { offset, bytes }] of libraries.entries()) {
    if (offset + bytes > section)
      return {
        path: `.libraries[${String(i)}]`,
        message: `ends at byte ${String(offset + bytes)} of a section of ${String(section)}`,
      };
  }
  return undefined;
}

function checkProfiles({ profiles, inputs, program }: PlanHeader): Problem | undefined {
  const rankOf = new Map(inputs.map((b) => [b.name, program.values[b.value]!.dims?.length]));
  for (const [i, profile] of profiles.entries()) {
    for (const [name, { min, opt, max }] of Object.entries(profile.inputs)) {
      const path = `.profiles[${String(i)}].inputs['${name}']`;
      if (!rankOf.has(name)) return { path, message: 'the plan has no such input' };
      const rank = rankOf.get(name);
      if (min.length !== rank || opt.length !== rank || max.length !== rank)
        return { path, message: `min, opt and max must have ${String(rank)} extents` };
      if (!min.every((m, axis) => m <= opt[axis]! && opt[axis]! <= max[axis]!))
        return { path, message: 'min ≤ opt ≤ max does not hold' };
    }
  }
  return undefined;
}
