/**
 * The plan file: magic, format version, canonical JSON header, aligned sections.
 *
 * | bytes | what |
 * | --- | --- |
 * | 0 … 7 | magic "TWPLAN\r\n" |
 * | 8 … 11 | format version, uint32 little-endian |
 * | 12 … 15 | header length, uint32 |
 * | 16 … 19 | checksum of the header, CRC-32 as in zlib, uint32 |
 * | 20 … | header, UTF-8 JSON with sorted keys |
 * | then | sections, each at a multiple of 4096 bytes, in the header's order |
 *
 * Nothing in a file is trusted: every offset, length and digest is checked before use.
 */

import { crc32 } from 'node:zlib';
import { TensorwrightError } from './errors.js';
import { type PlanHeader, planFormatVersion, type PlanSection } from './plan.js';

const magic = Buffer.from('TWPLAN\r\n', 'latin1');
export const planPreambleBytes = 20;
export const planSectionAlignment = 4096;
/** A header larger than this is refused before it is read. */
export const maxPlanHeaderBytes: number = 256 * 1024 * 1024;

/** What precedes the header. */
export function planPreamble(json: Uint8Array): Uint8Array {
  const preamble = Buffer.alloc(planPreambleBytes);
  magic.copy(preamble, 0);
  preamble.writeUInt32LE(planFormatVersion, 8);
  preamble.writeUInt32LE(json.length, 12);
  preamble.writeUInt32LE(crc32(json), 16);
  return preamble;
}

/** What precedes the sections: preamble, header, padding. Section offsets in the header are filled in. */
export function encodePlanHead(
  header: Omit<PlanHeader, 'sections'>,
  sections: readonly Omit<PlanSection, 'offset'>[],
): { head: Uint8Array; header: PlanHeader } {
  // Offsets count from the first section, so that the header's own length does not enter.
  let offset = 0;
  const placed: PlanSection[] = sections.map((s) => {
    const section = { name: s.name, offset, bytes: s.bytes, digest: s.digest };
    offset = alignUp(offset + s.bytes, planSectionAlignment);
    return section;
  });
  const full: PlanHeader = { ...header, sections: placed };
  const json = Buffer.from(canonicalJson(full), 'utf8');
  const head = Buffer.alloc(alignUp(planPreambleBytes + json.length, planSectionAlignment));
  head.set(planPreamble(json));
  json.copy(head, planPreambleBytes);
  return { head, header: full };
}

export interface PlanPreamble {
  readonly headerBytes: number;
  /** As formatChecksum gives it. */
  readonly headerChecksum: string;
  /** Where the first section starts in the file. */
  readonly sectionsOffset: number;
}

/** @throws ERR_INVALID_PLAN naming the field */
export function decodePlanPreamble(bytes: Uint8Array, fileBytes: number, place: string): PlanPreamble {
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_INVALID_PLAN', `${place}: ${message}`, { file: place });
  };
  if (bytes.length < planPreambleBytes || !magic.equals(bytes.subarray(0, 8)))
    fail('not a plan: the magic number is missing');
  const view = new DataView(bytes.buffer, bytes.byteOffset, planPreambleBytes);
  const version = view.getUint32(8, true);
  if (version !== planFormatVersion)
    fail(`plan format version ${String(version)}, this runtime reads version ${String(planFormatVersion)}`);
  const headerBytes = view.getUint32(12, true);
  if (headerBytes > maxPlanHeaderBytes || planPreambleBytes + headerBytes > fileBytes)
    fail(`header length ${String(headerBytes)} exceeds the file (${String(fileBytes)} bytes): truncated?`);
  return {
    headerBytes,
    headerChecksum: formatChecksum(view.getUint32(16, true)),
    sectionsOffset: alignUp(planPreambleBytes + headerBytes, planSectionAlignment),
  };
}

/** @throws ERR_INVALID_PLAN naming the field */
export function decodePlanHeader(
  json: Uint8Array,
  { headerChecksum, sectionsOffset }: PlanPreamble,
  fileBytes: number,
  place: string,
): PlanHeader {
  const checksum = formatChecksum(crc32(json));
  if (checksum !== headerChecksum)
    throw new TensorwrightError(
      'ERR_INVALID_PLAN',
      `${place}: the header is damaged: its checksum is ${checksum}, the file says ${headerChecksum}`,
      { file: place, field: 'header', expected: headerChecksum, received: checksum },
    );
  let header: PlanHeader;
  try {
    header = JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString('utf8')) as PlanHeader;
  } catch (cause) {
    throw new TensorwrightError(
      'ERR_INVALID_PLAN',
      `${place}: the header is not valid JSON`,
      { file: place },
      { cause },
    );
  }
  const fail = (field: string, message: string): never => {
    throw new TensorwrightError('ERR_INVALID_PLAN', `${place}: ${field}: ${message}`, { file: place, field });
  };
  if (typeof header !== 'object' || header === null || !Array.isArray(header.sections)) fail('sections', 'missing');
  let end = 0;
  header.sections.forEach((s, i) => {
    const field = `sections[${String(i)}]`;
    if (typeof s !== 'object' || s === null) fail(field, 'must be an object');
    if (typeof s.name !== 'string' || typeof s.digest !== 'string') fail(field, 'name and digest must be strings');
    if (!Number.isSafeInteger(s.offset) || !Number.isSafeInteger(s.bytes) || s.offset < end || s.bytes < 0)
      fail(field, 'offset or length is invalid');
    if (s.offset % planSectionAlignment !== 0)
      fail(field, `offset must be a multiple of ${String(planSectionAlignment)}`);
    end = s.offset + s.bytes;
    if (sectionsOffset + end > fileBytes)
      fail(
        field,
        `'${s.name}' ends at byte ${String(sectionsOffset + end)}, the file has ${String(fileBytes)}: truncated?`,
      );
  });
  return header;
}

/** Running checksum of a section's bytes (CRC-32 as in zlib): finds truncation and damage, not malice. */
export function updateChecksum(bytes: Uint8Array, previous = 0): number {
  return crc32(bytes, previous);
}

export function formatChecksum(checksum: number): string {
  return `crc32:${checksum.toString(16).padStart(8, '0')}`;
}

/** JSON with sorted keys: the same data gives the same bytes. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => {
    if (typeof v !== 'object' || v === null || Array.isArray(v)) return v;
    return Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}

export function alignUp(n: number, alignment: number): number {
  return Math.ceil(n / alignment) * alignment;
}
