/** Which names, versions and namespaces plugins may have, and how they compare. */

import { type PluginKey, TensorwrightError } from '@tensorwright/core';

const word = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const versionWord = /^[A-Za-z0-9][A-Za-z0-9_.+-]*$/;

export function sameKey(a: PluginKey, b: PluginKey): boolean {
  return a.name === b.name && a.version === b.version && a.namespace === b.namespace;
}

/** @throws ERR_INVALID_ARGUMENT naming the part */
export function checkKey({ name, version, namespace }: PluginKey): void {
  const check = (part: string, value: unknown, holds: boolean, expected: string): void => {
    if (typeof value !== 'string' || !holds)
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `a plugin's ${part} must be ${expected}, received ${JSON.stringify(value)}`,
        { plugin: name, part, received: value },
      );
  };
  check('name', name, word.test(name), "letters, digits, '_', '.' and '-', not beginning with a digit");
  check('version', version, versionWord.test(version), "letters, digits, '_', '.', '+' and '-'");
  check('namespace', namespace, namespace === '' || word.test(namespace), "empty, or written like a plugin's name");
}

/** Numbers within versions count as numbers: '10' is newer than '9', '1.10' newer than '1.9'. */
export function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}
