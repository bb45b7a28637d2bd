/** Options of the parser, and their limits: a model from anywhere must end in bounded time and memory. */

import { type Logger, type OperatorSource, silentLogger, TensorwrightError } from '@tensorwright/core';

export interface ParseOptions {
  /** Receives warnings: contradicting shape hints, ignored sections. Default: nothing is logged. */
  readonly logger?: Logger;
  /** Of `parse`: the file that the bytes are of. Errors name it, and external data lies beside it. Default: none. */
  readonly path?: string;
  /** Folder that external data lies in. Default: the folder of the model file; `parse` of bytes without `path` has none. */
  readonly externalDataFolder?: string;
  /** Largest model file, without external data. Default: 2^31 - 1, protobuf's own limit. */
  readonly maxModelBytes?: number;
  /** Most nodes in the file, subgraphs and functions included. Default: 1,000,000. */
  readonly maxNodes?: number;
  /**
   * Most tensor elements that the file stores one by one instead of as raw data (a 64-bit integer counts for 4, a string
   * for 16): they take far more memory than bytes in the file. Default: 2^27.
   */
  readonly maxTypedElements?: number;
  /** Deepest nesting of subgraphs, function calls and types. Default: 64. */
  readonly maxDepth?: number;
  /** Most nodes that are imported after functions and inlined bodies are expanded. Default: 2,000,000. */
  readonly maxExpandedNodes?: number;
  /** Most bytes of one constant that is stored sparsely or made by expansion. Default: 2^31. */
  readonly maxConstantBytes?: number;
  /** Where operators are looked for that are not built in: a plugin registry. Default: the global one, where plugins are in use. */
  readonly plugins?: OperatorSource;
  /** Stops the parsing. */
  readonly signal?: AbortSignal;
}

export type ParserSettings = Required<Omit<ParseOptions, 'path' | 'externalDataFolder' | 'signal' | 'plugins'>> & {
  readonly plugins: OperatorSource | undefined;
  readonly path: string | undefined;
  readonly externalDataFolder: string | undefined;
  readonly signal: AbortSignal | undefined;
};

const defaults: ParserSettings = {
  logger: silentLogger,
  path: undefined,
  externalDataFolder: undefined,
  maxModelBytes: 2 ** 31 - 1,
  maxNodes: 1_000_000,
  maxTypedElements: 2 ** 27,
  maxDepth: 64,
  maxExpandedNodes: 2_000_000,
  maxConstantBytes: 2 ** 31,
  plugins: undefined,
  signal: undefined,
};

function invalid(name: string, value: unknown, expected: string): TensorwrightError {
  return new TensorwrightError(
    'ERR_INVALID_OPTION',
    `option '${name}' must be ${expected}, received ${describe(value)}`,
    { option: name, expected },
  );
}

function describe(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? JSON.stringify(value)
    : value === null
      ? 'null'
      : `a ${typeof value}`;
}

/** @throws ERR_INVALID_OPTION for an unknown name or a value of the wrong kind */
export function parserSettings(options: ParseOptions = {}): ParserSettings {
  if (typeof options !== 'object' || options === null) throw invalid('options', options, 'an object');
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (!Object.hasOwn(defaults, name)) {
      const known = Object.keys(defaults);
      const close = known.find((k) => k.toLowerCase() === name.toLowerCase());
      throw new TensorwrightError(
        'ERR_INVALID_OPTION',
        `unknown option '${name}'; ${close === undefined ? `known: ${known.join(', ')}` : `did you mean '${close}'?`}`,
        { option: name, known },
      );
    }
    if (value === undefined) continue;
    if (name === 'logger') {
      if (typeof value !== 'function') throw invalid(name, value, 'a function');
    } else if (name === 'signal') {
      if (!(value instanceof AbortSignal)) throw invalid(name, value, 'an AbortSignal');
    } else if (name === 'externalDataFolder' || name === 'path') {
      if (typeof value !== 'string') throw invalid(name, value, 'a path');
    } else if (name === 'plugins') {
      if (typeof (value as OperatorSource | null)?.find !== 'function') throw invalid(name, value, 'a plugin registry');
    } else if (!Number.isSafeInteger(value) || (value as number) < 1) {
      throw invalid(name, value, 'a positive integer');
    }
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
  return { ...defaults, ...given };
}
