/** The report of memory and delays over many runs, as it is printed and recorded. */

/** What `npm run soak` prints first. */
export interface SoakReport {
  readonly model: string;
  /** How often each was done; older reports do not say. */
  readonly counts?: Readonly<Record<'runs' | 'contexts' | 'builds' | 'workers', number>>;
  /** Largest delays of a timer. */
  readonly timerDelayMs: Readonly<Record<'parse' | 'build' | 'load' | 'run', number>>;
  /** By what has happened before. */
  readonly memory: Readonly<Record<string, Memory>>;
}

export interface Memory {
  readonly residentMegabytes: number;
  /** Of the device: what this process has allocated, and what is gone altogether, code and streams too. */
  readonly device?: { readonly ownBytes: number; readonly usedBytes: number };
}
