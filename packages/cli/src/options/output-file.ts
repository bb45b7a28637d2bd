/** A file to be written after long work: found to be impossible before it. */

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError, exitCodes } from '../exit-codes.js';

/** @throws CommandError when the folder is missing or cannot be written to, or the file is a folder */
export async function checkWritable(path: string): Promise<void> {
  const fail = (reason: string): never => {
    throw new CommandError(exitCodes.failure, `cannot write '${path}': ${reason}`);
  };
  try {
    await access(dirname(path), constants.W_OK);
  } catch (cause) {
    fail(
      (cause as NodeJS.ErrnoException).code === 'ENOENT'
        ? `there is no folder '${dirname(path)}'`
        : (cause as Error).message,
    );
  }
  const existing = await stat(path).catch(() => undefined);
  if (existing?.isDirectory()) fail('it is a folder');
}
