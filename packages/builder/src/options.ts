/** What a build can be told, checked before any work starts. */

import {
  type LogRecord,
  type OperatorSource,
  type TacticSource,
  tacticSources,
  TensorwrightError,
} from '@tensorwright/core';

/** Extents of one dynamic input: a fixed shape, or the range and the optimum that tactics are timed at. */
export type ProfileShape =
  | readonly number[]
  | { readonly min: readonly number[]; readonly opt: readonly number[]; readonly max: readonly number[] };

/** Input name → extents. Inputs with static shapes need no entry. */
export type Profile = Readonly<Record<string, ProfileShape>>;

export interface PrecisionOptions {
  /** Compute in float16 where it is safe; not together with bf16. Default: false. */
  readonly fp16?: boolean;
  /** Compute in bfloat16 where it is safe. Default: false. */
  readonly bf16?: boolean;
  /** Let float32 contractions round their operands to TensorFloat-32 (CUDA only). Default: false. */
  readonly tf32?: boolean;
  /** Names of the model's nodes that stay in float32; `*` matches any characters. Default: none. */
  readonly keepFloat32?: readonly string[];
  /**
   * Error that 16 bits may cause, as a root mean square over the standard deviation. Where more is predicted of a
   * network, its first convolutions and products stay in float32, as many as it takes; none where those of three
   * quarters of all multiplications are not enough. Default: 5e-3 for float16, 3e-2 for bfloat16; Infinity: all that
   * is safe runs in 16 bits.
   */
  readonly roundingTolerance?: number;
}

export type BuildPhase = 'import' | 'canonicalise' | 'numbers' | 'group' | 'place' | 'choose' | 'plan';

export interface BuildProgress {
  readonly phase: BuildPhase;
  /** Units of work of this phase that are done, and all of them. */
  readonly done: number;
  readonly total: number;
  /** Milliseconds left of the whole build, where it can be told. */
  readonly estimateMs: number | undefined;
}

export interface BuildOptions {
  /** Backends in order of preference. Default: those this machine has: cuda where its package and a device are, then cpu, then reference. */
  readonly backends?: readonly string[];
  readonly precision?: PrecisionOptions;
  /** Shapes of dynamic inputs. Default: none; then any shape runs, with memory allocated as needed. */
  readonly profiles?: readonly Profile[];
  /** 0: the model's first choice; 1, 2: few candidates are timed; 3: the default; 4, 5: all of them, longer. */
  readonly optimizationLevel?: 0 | 1 | 2 | 3 | 4 | 5;
  /** Libraries that tactics may call where this machine has them; [] for our own kernels alone. Default: all. */
  readonly tacticSources?: readonly TacticSource[];
  /**
   * Compare the result of a device's fastest tactic with that of another one or of the processor, on random inputs, and
   * take the next one where they disagree; tactics so dropped are in the report. Steps of several groups are compared
   * with these groups one after another. Once for each problem: the timing cache remembers. Default: true; tactics that
   * are not timed (optimization level 0; one candidate, of a single group) are not compared.
   */
  readonly verifyTactics?: boolean;
  /** Milliseconds that a device's tactic may take to be tried before it counts as hanging. Default: 30 000. */
  readonly tacticTimeoutMs?: number;
  /** Folder that keeps measured times between builds. Default: none is kept. */
  readonly timingCache?: string;
  /** Milliseconds that timing may take; afterwards estimates decide. Default: unlimited. */
  readonly timeBudgetMs?: number;
  /** Constants may grow by this many bytes through folding. Default: 4 MiB. */
  readonly foldingBudgetBytes?: number;
  /**
   * Put the plugin libraries that the plan calls into it, for this platform. It then runs without them on hosts that
   * allow code from plans (`Runtime.load(plan, { allowCodeFromPlan: true })`). Default: false; the host loads them itself.
   */
  readonly embedLibraries?: boolean;
  /** Threads of CPU kernels while timing. Default: what the machine has. */
  readonly threads?: number;
  /** Whose plugins take the place of the subgraphs that their patterns describe: a plugin registry. Default: the global one. */
  readonly plugins?: OperatorSource;
  readonly onProgress?: (progress: BuildProgress) => void;
  readonly signal?: AbortSignal;
  readonly logger?: (record: LogRecord) => void;
}

const known: Readonly<Record<keyof BuildOptions, (value: unknown) => string | undefined>> = {
  backends: (v) =>
    isStrings(v) && v.length > 0 && new Set(v).size === v.length
      ? undefined
      : 'a non-empty list of backend names, each once',
  precision: checkPrecision,
  profiles: (v) =>
    Array.isArray(v) && v.every((p) => typeof p === 'object' && p !== null) ? undefined : 'a list of profiles',
  optimizationLevel: (v) =>
    Number.isInteger(v) && (v as number) >= 0 && (v as number) <= 5 ? undefined : 'an integer from 0 to 5',
  tacticSources: (v) =>
    isStrings(v) && v.every((s) => (tacticSources as readonly string[]).includes(s))
      ? undefined
      : `a list of libraries out of ${tacticSources.join(', ')}`,
  verifyTactics: (v) => (typeof v === 'boolean' ? undefined : 'true or false'),
  tacticTimeoutMs: (v) => (typeof v === 'number' && v > 0 && v < 2 ** 31 ? undefined : 'milliseconds above 0'),
  timingCache: (v) => (typeof v === 'string' && v !== '' ? undefined : 'the path of a folder'),
  timeBudgetMs: (v) => (typeof v === 'number' && v >= 0 ? undefined : 'a number of milliseconds'),
  foldingBudgetBytes: (v) => (Number.isSafeInteger(v) && (v as number) >= 0 ? undefined : 'a number of bytes'),
  embedLibraries: (v) => (typeof v === 'boolean' ? undefined : 'true or false'),
  threads: (v) =>
    Number.isInteger(v) && (v as number) >= 1 && (v as number) <= 1024 ? undefined : 'an integer from 1 to 1024',
  plugins: (v) => (typeof (v as OperatorSource | null)?.find === 'function' ? undefined : 'a plugin registry'),
  onProgress: (v) => (typeof v === 'function' ? undefined : 'a function'),
  signal: (v) => (v instanceof AbortSignal ? undefined : 'an AbortSignal'),
  logger: (v) => (typeof v === 'function' ? undefined : 'a function'),
};

function isBoolean(v: unknown): v is boolean {
  return typeof v === 'boolean';
}

function isStrings(v: unknown): v is string[] {
  return Array.isArray(v) && v.every((s) => typeof s === 'string');
}

function checkPrecision(v: unknown): string | undefined {
  if (typeof v !== 'object' || v === null) return 'an object with fp16, bf16, tf32, keepFloat32, roundingTolerance';
  for (const [name, value] of Object.entries(v)) {
    const fits: Readonly<Record<string, (value: unknown) => boolean>> = {
      fp16: isBoolean,
      bf16: isBoolean,
      tf32: isBoolean,
      keepFloat32: isStrings,
      roundingTolerance: (x) => typeof x === 'number' && x > 0,
    };
    if (!Object.hasOwn(fits, name) || (value !== undefined && !fits[name]!(value)))
      return `fp16, bf16, tf32 (booleans), keepFloat32 (node names) and roundingTolerance (a number above 0), not '${name}': ${JSON.stringify(value)}`;
  }
  const { fp16, bf16 } = v as PrecisionOptions;
  return fp16 === true && bf16 === true ? 'fp16 or bf16, not both' : undefined;
}

/** @throws ERR_INVALID_OPTION naming the option, what was expected and what was received */
export function checkOptions(options: BuildOptions): void {
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(known, name) ? known[name as keyof BuildOptions] : undefined;
    if (!check) {
      throw new TensorwrightError(
        'ERR_INVALID_OPTION',
        `Builder.build: unknown option '${name}'; known: ${Object.keys(known).join(', ')}`,
        { option: name },
      );
    }
    const expected = value === undefined ? undefined : check(value);
    if (expected !== undefined) {
      throw new TensorwrightError('ERR_INVALID_OPTION', `Builder.build: option '${name}' must be ${expected}`, {
        option: name,
        expected,
        received: value,
      });
    }
  }
}
