/** What a command sees of the world around it; tests give another one. */

export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Session {
  /** Results, and nothing else. */
  readonly stdout: TextStream;
  /** Progress, notes, errors. */
  readonly stderr: TextStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first interrupt. */
  readonly signal: AbortSignal;
  /** Command and leading arguments that start this program again. */
  readonly self: readonly string[];
}
