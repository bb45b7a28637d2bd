/**
 * The timing cache: measured times, not decisions. One file per problem in a folder per device; an entry holds a time
 * per candidate, and each candidate names its producer, so that an upgrade re-times only what changed. Unreadable or
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
  readonly #entries = new Map<string, Record<string, number>>();
  readonly #dirty = new Map<string, Problem>();

  /** @param folder where entries are kept; undefined: for this build only. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  async times(device: string, problem: Problem): Promise<Readonly<Record<string, number>>> {
    const key = keyOf(device, problem);
    const known = this.#entries.get(key);
    if (known) return known;
    const times = await this.#read(key, problem);
    this.#entries.set(key, times);
    return times;
  }

  async record(device: string, problem: Problem, candidate: string, nanoseconds: number): Promise<void> {
    const key = keyOf(device, problem);
    const times = this.#entries.get(key) ?? {};
    times[candidate] = nanoseconds;
    this.#entries.set(key, times);
    this.#dirty.set(key, problem);
    await Promise.resolve();
  }

  /** Writes what was measured. A folder that cannot be written is reported once, by the returned error. */
  async flush(): Promise<Error | undefined> {
    if (this.#folder === undefined) return undefined;
    try {
      for (const [key, problem] of this.#dirty) {
        const path = join(this.#folder, key);
        await mkdir(join(path, '..'), { recursive: true });
        const entry: Entry = { schema, problem, times: this.#entries.get(key)! };
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

  async #read(key: string, problem: Problem): Promise<Record<string, number>> {
    if (this.#folder === undefined) return {};
    try {
      const entry = JSON.parse(await readFile(join(this.#folder, key), 'utf8')) as Entry;
      if (entry.schema !== schema || canonicalJson(entry.problem) !== canonicalJson(problem)) return {};
      return Object.fromEntries(Object.entries(entry.times).filter(([, t]) => typeof t === 'number' && t > 0));
    } catch {
      return {};
    }
  }
}

function keyOf(device: string, problem: Problem): string {
  const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
  return join(digest(`${String(schema)} ${device}`), `${digest(canonicalJson(problem))}.json`);
}
