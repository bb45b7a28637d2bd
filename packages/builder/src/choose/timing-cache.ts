/**
 * The timing cache: what was measured and found, not decisions. One file per problem in a folder per device; an entry
 * holds a time per candidate, those whose results were verified, and those that failed. Each candidate names its
 * producer, so that an upgrade re-times only what changed. Unreadable or
 * foreign entries are misses, never errors. Files are written beside and renamed: a crash leaves no half entry.
 */

import { canonicalJson, type Candidate } from '@tensorwright/core';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const schema = 1;

interface Entry {
  readonly schema: number;
  readonly problem: unknown;
  /** Candidate key → median nanoseconds. */
  readonly times: Record<string, number>;
  /** Candidate key → what is wrong with it: it is never tried again. */
  readonly faults?: Record<string, Fault>;
  /** Keys of candidates whose results agreed with another's. */
  readonly verified?: readonly string[];
}

/** Why a candidate must not be used. */
export interface Fault {
  /** ERR_DEVICE: its kernel failed; ERR_VALUE: it computes something else than others. */
  readonly code: string;
  readonly reason: string;
}

/** What is known of a problem's candidates, by their keys. */
export interface Findings {
  readonly times: Record<string, number>;
  readonly faults: Record<string, Fault>;
  readonly verified: Set<string>;
}

/** What is timed: structure, dtypes, extents, layouts; nothing that names the model. */
export type Problem = Readonly<Record<string, unknown>>;

export function candidateKey(candidate: Candidate): string {
  return canonicalJson({
    tactic: candidate.tactic,
    producer: candidate.producer,
    parameters: candidate.parameters,
    inputs: candidate.inputs,
    outputs: candidate.outputs,
  });
}

export class TimingCache {
  readonly #folder: string | undefined;
  readonly #entries = new Map<string, Findings>();
  readonly #dirty = new Map<string, Problem>();

  /** @param folder where entries are kept; undefined: for this build only. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  async findings(device: string, problem: Problem): Promise<Readonly<Findings>> {
    const key = keyOf(device, problem);
    return this.#entries.get(key) ?? this.#keep(key, await this.#read(key, problem));
  }

  /** `note` adds to what is known, which has been asked for before. */
  record(device: string, problem: Problem, note: (findings: Findings) => void): void {
    const key = keyOf(device, problem);
    note(this.#entries.get(key) ?? this.#keep(key, nothing()));
    this.#dirty.set(key, problem);
  }

  /** Writes what is new. A folder that cannot be written is reported once, by the returned error. */
  async flush(): Promise<Error | undefined> {
    if (this.#folder === undefined) return undefined;
    try {
      for (const [key, problem] of this.#dirty) {
        const path = join(this.#folder, key);
        await mkdir(join(path, '..'), { recursive: true });
        const { times, faults, verified } = this.#entries.get(key)!;
        const entry: Entry = {
          schema,
          problem,
          times,
          ...(Object.keys(faults).length > 0 && { faults }),
          ...(verified.size > 0 && { verified: [...verified].sort() }),
        };
        const temporary = `${path}.${String(process.pid)}.tmp`;
        await writeFile(temporary, canonicalJson(entry));
        await rename(temporary, path);
      }
    } catch (error) {
      return error as Error;
    } finally {
      this.#dirty.clear();
    }
    return undefined;
  }

  /** Two may have read the entry at once: the first one's is everybody's. */
  #keep(key: string, findings: Findings): Findings {
    const known = this.#entries.get(key);
    if (!known) this.#entries.set(key, findings);
    return known ?? findings;
  }

  async #read(key: string, problem: Problem): Promise<Findings> {
    if (this.#folder === undefined) return nothing();
    try {
      const entry = JSON.parse(await readFile(join(this.#folder, key), 'utf8')) as Partial<Entry>;
      if (entry.schema !== schema || canonicalJson(entry.problem) !== canonicalJson(problem)) return nothing();
      const isFault = (f: unknown): f is Fault =>
        typeof (f as Fault | null)?.code === 'string' && typeof (f as Fault).reason === 'string';
      return {
        times: Object.fromEntries(Object.entries(entry.times ?? {}).filter(([, t]) => typeof t === 'number' && t > 0)),
        faults: Object.fromEntries(Object.entries(entry.faults ?? {}).filter(([, f]) => isFault(f))),
        verified: new Set((entry.verified ?? []).filter((v) => typeof v === 'string')),
      };
    } catch {
      return nothing();
    }
  }
}

function nothing(): Findings {
  return { times: {}, faults: {}, verified: new Set() };
}

function keyOf(device: string, problem: Problem): string {
  const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
  return join(digest(`${String(schema)} ${device}`), `${digest(canonicalJson(problem))}.json`);
}
