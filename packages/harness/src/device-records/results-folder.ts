/** What a run of the suite has left in its folder. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface ResultsFolder {
  readonly names: readonly string[];
  /** undefined: it is not there. */
  text(name: string): Promise<string | undefined>;
  json<T>(name: string): Promise<T | undefined>;
}

export async function resultsFolder(folder: string): Promise<ResultsFolder> {
  const names = (await readdir(folder)).sort();
  const text = async (name: string): Promise<string | undefined> =>
    names.includes(name) ? readFile(join(folder, name), 'utf8') : undefined;
  return {
    names,
    text,
    async json<T>(name: string): Promise<T | undefined> {
      const content = await text(name);
      if (content === undefined) return undefined;
      try {
        return JSON.parse(content) as T;
      } catch (cause) {
        throw new Error(`${join(folder, name)}: ${(cause as Error).message}`, { cause });
      }
    },
  };
}
