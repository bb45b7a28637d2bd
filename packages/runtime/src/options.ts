/** Checks option objects: a misspelt option is an error that names it and lists the known ones. */

import { TensorwrightError } from '@tensorwright/core';

/** Per option: what it must be, or undefined when the value is so. */
export type OptionChecks<T> = { readonly [K in keyof T]-?: (value: unknown) => string | undefined };

/** @throws ERR_INVALID_OPTION */
export function checkOptions<T extends object>(where: string, options: T, checks: OptionChecks<T>): void {
  if (typeof options !== 'object' || options === null) {
    throw new TensorwrightError('ERR_INVALID_OPTION', `${where}: options must be an object`, {
      received: typeof options,
    });
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name)) {
      throw new TensorwrightError(
        'ERR_INVALID_OPTION',
        `${where}: unknown option '${name}'; known: ${Object.keys(checks).join(', ')}`,
        { option: name },
      );
    }
    const expected = value === undefined ? undefined : checks[name as keyof T](value);
    if (expected !== undefined)
      throw new TensorwrightError('ERR_INVALID_OPTION', `${where}: option '${name}' must be ${expected}`, {
        option: name,
        expected,
        received: value,
      });
  }
}

export const is = {
  flag: (v: unknown): string | undefined => (typeof v === 'boolean' ? undefined : 'true or false'),
  function: (v: unknown): string | undefined => (typeof v === 'function' ? undefined : 'a function'),
  signal: (v: unknown): string | undefined => (v instanceof AbortSignal ? undefined : 'an AbortSignal'),
  integer:
    (min: number, max: number) =>
    (v: unknown): string | undefined =>
      Number.isInteger(v) && (v as number) >= min && (v as number) <= max
        ? undefined
        : `an integer from ${min} to ${max}`,
  anything: (): undefined => undefined,
};
