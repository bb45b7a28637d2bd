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

/**
 * Numbers within versions count as numbers: '10' is newer than '9', '1.10' newer than '1.9'. What follows a '-' came
 * before: '1.0-rc.1' is older than '1.0'.
 */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [partsOf(a), partsOf(b)];
  const [byRelease, byCandidate] = [0, 1].map((i) => x[i]!.localeCompare(y[i]!, 'en', { numeric: true }));
  if (byRelease !== 0 || byCandidate === 0) return byRelease!;
  if (x[1] === '' || y[1] === '') return x[1] === '' ? 1 : -1;
  return byCandidate!;
}

/** '1.0-rc.1': '1.0' and 'rc.1'. */
function partsOf(version: string): readonly [release: string, candidate: string] {
  const at = version.indexOf('-');
  return at < 0 ? [version, ''] : [version.slice(0, at), version.slice(at + 1)];
}
