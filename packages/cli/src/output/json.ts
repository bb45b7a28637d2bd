/** JSON documents on stdout: one per run of a command, with the version of its form. */

import type { Session } from '../session.js';

/** Raised when a field changes its meaning or goes away; new fields do not raise it. */
export const schemaVersion = 1;

export function writeJson(session: Session, command: string, document: Readonly<Record<string, unknown>>): void {
  const text = JSON.stringify(
    { schemaVersion, command, ...document },
    (_key, value: unknown) => {
      // JSON has no infinities and no NaN, and errors may be both.
      if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
      return typeof value === 'bigint' ? String(value) : value;
    },
    2,
  );
  session.stdout.write(`${text}\n`);
}
