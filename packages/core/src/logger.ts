/** Logging: the caller injects a function; nothing is written otherwise. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogRecord {
  readonly level: LogLevel;
  /** The part that speaks: 'parser', 'builder.tactics', 'runtime' … */
  readonly scope: string;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export type Logger = (record: LogRecord) => void;

export const silentLogger: Logger = () => undefined;
