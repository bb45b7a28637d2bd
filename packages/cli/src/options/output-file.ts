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

/**
 * @param source what is read for it, which must still be there afterwards
 * @throws CommandError when the folder is missing or cannot be written to, or there is something else than a file
 */
export async function checkWritable(path: string, source: string): Promise<void> {
  if (path === '') throw cannotWrite(path, 'that is no name of a file');
  await checkFolderOf(path);
  const existing = await stat(path).catch(() => undefined);
  if (!existing) return;
  if (existing.isDirectory()) throw cannotWrite(path, 'it is a folder');
  // A new file takes the old one's place, and a device is not to be replaced.
  if (!existing.isFile()) throw cannotWrite(path, 'it is no regular file');
  const { dev, ino } = await stat(source);
  if (existing.dev === dev && existing.ino === ino) throw cannotWrite(path, 'it is the model');
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
