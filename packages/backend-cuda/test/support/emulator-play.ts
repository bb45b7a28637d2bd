/** What the emulator is asked to play, and to tell. */

import { existsSync, readFileSync, rmSync } from 'node:fs';

/** Misfortunes can be played. */
export const isEmulated: boolean = process.env['TENSORWRIGHT_CUDA_DRIVER']?.includes('emulator') === true;

/** See TENSORWRIGHT_EMULATOR_PLAY in native/cuda/README.md; '' for none. */
export function play(what: string): void {
  process.env['TENSORWRIGHT_EMULATOR_PLAY'] = what;
}

/** The lines of launches, copies and graphs that `work` leads to. */
export async function traced(file: string, work: () => Promise<unknown>): Promise<string[]> {
  process.env['TENSORWRIGHT_EMULATOR_TRACE'] = file;
  try {
    await work();
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  } finally {
    process.env['TENSORWRIGHT_EMULATOR_TRACE'] = '';
    rmSync(file, { force: true });
  }
}
