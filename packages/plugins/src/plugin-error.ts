/** Somebody's functions: what goes wrong in them, under the plugin's name. */

import { TensorwrightError } from '@tensorwright/core';

/** @param what for the message: 'infer threw' */
export function pluginError(title: string, what: string, cause: unknown): TensorwrightError {
  return new TensorwrightError(
    'ERR_PLUGIN',
    `plugin ${title}: ${what}: ${textOf(cause)}`,
    { plugin: title },
    { cause },
  );
}

/**
 * What a function of the plugin gives.
 * @param what for messages: 'cuda.launches'
 * @param refusals errors that are the call's fault, not the plugin's
 * @throws ERR_PLUGIN naming the plugin and the function, where that throws or gives a promise
 */
export function callOwn<T>(title: string, what: string, call: () => T, refusals?: ReadonlySet<unknown>): T {
  let result: T;
  try {
    result = call();
  } catch (error) {
    throw refusals?.has(error) === true || isNamed(error, title) ? error : pluginError(title, `${what} threw`, error);
  }
  return refusePromise(title, what, result);
}

/** What a function gave, which is no promise. @throws ERR_PLUGIN naming the plugin and the function where it is */
export function refusePromise<T>(title: string, what: string, result: T): T {
  if (!isPromise(result)) return result;
  // Nobody waits for it: what it is rejected with would end the process.
  result.then(undefined, () => undefined);
  throw new TensorwrightError(
    'ERR_PLUGIN',
    `plugin ${title}: ${what} gives a promise: it must give its result at once`,
    {
      plugin: title,
    },
  );
}

function isNamed(error: unknown, title: string): boolean {
  return TensorwrightError.is(error) && error.details?.['plugin'] === title;
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Anything can be thrown, also what is no text. */
function textOf(cause: unknown): string {
  try {
    return cause instanceof Error ? cause.message : String(cause);
  } catch {
    return 'what it threw is no text';
  }
}
