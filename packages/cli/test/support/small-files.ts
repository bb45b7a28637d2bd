/** The small model and a plan of it, in a folder that is gone after the tests of the file. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { temporaryFolder, tensorwright } from './run-command.js';
import { smallModel } from './small-model.js';

export interface SmallFiles {
  readonly folder: string;
  readonly model: string;
  /** With a profile from 1 to 8, at its best at 2. */
  readonly plan: string;
}

/** Options that need no native addon. */
export const reference: readonly string[] = ['--backends', 'reference'];

/** The files are there for the tests of the file, not before. */
export function smallFiles(): SmallFiles {
  const folder = temporaryFolder(afterAll);
  const files = { folder, model: join(folder, 'small.onnx'), plan: join(folder, 'small.plan') };
  beforeAll(async () => {
    writeFileSync(files.model, smallModel());
    const shapes = ['--min-shapes', 'x:1x4', '--opt-shapes', 'x:2x4', '--max-shapes', 'x:8x4'];
    const built = await tensorwright(['build', files.model, '-o', files.plan, ...reference, ...shapes]);
    expect(built).toMatchObject({ code: 0 });
    // The first command of a process loads all packages.
  }, 60_000);
  return files;
}

export function json(stdout: string): Record<string, any> {
  return JSON.parse(stdout) as Record<string, unknown>;
}
