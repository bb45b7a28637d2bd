/** Errors of the native library: the codes and the brand of `@tensorwright/core`'s TensorwrightError. */

export type NativeErrorCode =
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_UNSUPPORTED'
  | 'ERR_INVALID_PLAN'
  | 'ERR_SHAPE_MISMATCH'
  | 'ERR_DTYPE_MISMATCH'
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

export class NativeError extends Error {
  readonly code: NativeErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: NativeErrorCode, message: string, details: Record<string, unknown> = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TensorwrightError';
    this.code = code;
    this.details = details;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** The addon could not be loaded; `details.tried` lists every place with its reason. */
export class NativeLoadError extends NativeError {
  constructor(message: string, tried: readonly { path: string; reason: string }[], options?: ErrorOptions) {
    super('ERR_NATIVE_LOAD', message, { tried }, options);
  }
}
