/** What the command line says to the shell when it ends. */

import { TensorwrightError } from '@tensorwright/core';

export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** The model or plan is invalid, or has something unsupported. */
  model: 3,
  /** No device, no backend, no native addon. */
  unavailable: 4,
  /** A comparison or check failed. */
  accuracy: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends a command with a message for the user and an exit code. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}

export function usageError(message: string): CommandError {
  return new CommandError(exitCodes.usage, message);
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandError) return error.exitCode;
  if (!TensorwrightError.is(error)) return exitCodes.failure;
  switch (error.code) {
    case 'ERR_INVALID_OPTION':
      return exitCodes.usage;
    case 'ERR_INVALID_MODEL':
    case 'ERR_UNSUPPORTED':
    case 'ERR_EXTERNAL_DATA':
    case 'ERR_INVALID_PLAN':
    case 'ERR_LIMIT_EXCEEDED':
    case 'ERR_PLUGIN':
      return exitCodes.model;
    case 'ERR_BACKEND_UNAVAILABLE':
    case 'ERR_NATIVE_LOAD':
      return exitCodes.unavailable;
    case 'ERR_INVALID_ARGUMENT':
    case 'ERR_SHAPE_MISMATCH':
    case 'ERR_DTYPE_MISMATCH':
    case 'ERR_VALUE':
    case 'ERR_OUT_OF_MEMORY':
    case 'ERR_ABORTED':
    case 'ERR_DISPOSED':
    case 'ERR_COMPILATION':
    case 'ERR_DEVICE':
    case 'ERR_INTERNAL':
      return exitCodes.failure;
  }
}
