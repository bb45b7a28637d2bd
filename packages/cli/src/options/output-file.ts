/** Files to be written after long work: found to be impossible before it. */

import { constants } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError, exitCodes } from '../exit-codes.js';

function cannotWrite(path: string, reason: string): CommandError {
  return new CommandError(exitCodes.failure, `cannot write '${path}': ${reason}`);
}

async function checkFolderOf(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw cannotWrite(path, code === 'ENOENT' ? `there is no folder '${dirname(path)}'` : message);
  }
}

/** @throws CommandError when the folder is missing or cannot be written to, or the file is a folder */
export async function checkWritable(path: string): Promise<void> {
  await checkFolderOf(path);
  const existing = await stat(path).catch(() => undefined);
  if (existing?.isDirectory()) throw cannotWrite(path, 'it is a folder');
}

/** Makes the folder, unless it is there. @throws CommandError where it cannot be made or is something else */
export async function makeFolder(path: string): Promise<void> {
  const existing = await stat(path).catch(() => undefined);
  if (existing?.isDirectory()) return;
  if (existing) throw cannotWrite(path, 'it is no folder');
  await checkFolderOf(path);
  try {
    await mkdir(path);
  } catch (cause) {
    throw cannotWrite(path, (cause as Error).message);
  }
}
