/** The one error type of all packages: a stable code, a sentence, and fields that name the place. */

export type ErrorCode =
  | 'ERR_INVALID_OPTION'
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_INVALID_MODEL'
  | 'ERR_UNSUPPORTED'
  | 'ERR_EXTERNAL_DATA'
  | 'ERR_INVALID_PLAN'
  | 'ERR_SHAPE_MISMATCH'
  | 'ERR_DTYPE_MISMATCH'
  | 'ERR_VALUE'
  | 'ERR_LIMIT_EXCEEDED'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_ABORTED'
  | 'ERR_DISPOSED'
  | 'ERR_BACKEND_UNAVAILABLE'
  | 'ERR_COMPILATION'
  | 'ERR_DEVICE'
  | 'ERR_PLUGIN'
  | 'ERR_NATIVE_LOAD'
  | 'ERR_INTERNAL';

const brand = Symbol.for('@tensorwright/error');

/** Every error of the SDK that a user's model, input, option or machine causes: a code to act on, a message for people, details. */
export class TensorwrightError extends Error {
  readonly code: ErrorCode;
  /** What the message names, as data: file, node, operator, tensor, option, expected, received … */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TensorwrightError';
    this.code = code;
    this.details = details;
    Object.defineProperty(this, brand, { value: true });
  }

  /** True for our errors, also for those of another copy or version of this package. */
  static is(error: unknown): error is TensorwrightError {
    return typeof error === 'object' && error !== null && brand in error;
  }
}

/** Throws unless `condition` holds; for states that only a defect of ours can reach. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new TensorwrightError('ERR_INTERNAL', `internal error: ${message}`);
}
