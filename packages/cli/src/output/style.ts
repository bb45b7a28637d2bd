/** Colour, where somebody sees it: NO_COLOR and FORCE_COLOR decide, else whether the stream is a terminal. */

import type { Session, TextStream } from '../session.js';

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof codes;
export type Painter = (style: Style, text: string) => string;

export function paint(stream: TextStream, env: Session['env']): Painter {
  const { NO_COLOR: no, FORCE_COLOR: force } = env;
  let on = stream.isTTY === true && env['TERM'] !== 'dumb';
  if (force !== undefined && force !== '') on = force !== '0' && force !== 'false';
  if (no !== undefined && no !== '') on = false;
  return on ? (style, text) => `\x1b[${codes[style]}m${text}\x1b[0m` : (_style, text) => text;
}
