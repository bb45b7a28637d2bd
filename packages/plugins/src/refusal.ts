/** What is wrong with a definition, under the plugin's name. */

import { TensorwrightError } from '@tensorwright/core';

/** Throws ERR_INVALID_ARGUMENT with the message. */
export type Fail = (message: string) => never;

/** @param where in messages, behind the plugin: ', pattern 0' */
export function failing(title: string, where = ''): Fail {
  return (message) => {
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `plugin ${title}${where}: ${message}`, { plugin: title });
  };
}

/** Refuses members that are not known. @param whose for the message: 'cuda' */
export function checkMembers(fail: Fail, whose: string, given: object, known: Readonly<Record<string, true>>): void {
  for (const name of Object.keys(given))
    if (!Object.hasOwn(known, name)) fail(`${whose} has no '${name}'; known: ${Object.keys(known).join(', ')}`);
}

/** Refuses those of the members that are neither omitted nor functions. @param whose for the message: 'cuda.' */
export function checkFunctions<T extends object>(
  fail: Fail,
  whose: string,
  given: T,
  names: readonly (keyof T)[],
): void {
  for (const name of names)
    if (given[name] !== undefined && typeof given[name] !== 'function')
      fail(`${whose}${String(name)} must be a function`);
}

export function isListOfText(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((v) => typeof v === 'string');
}
