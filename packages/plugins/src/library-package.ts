/** The library that an npm package carries. */

import { TensorwrightError } from '@tensorwright/core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * Its path.
 * @param from where packages are looked for from
 * @throws ERR_PLUGIN when the package is not there, or names no library for this platform
 */
export function libraryOfPackage(name: string, from: string | URL): string {
  const fail = (message: string, cause?: unknown): never => {
    throw new TensorwrightError('ERR_PLUGIN', `package '${name}': ${message}`, { package: name }, { cause });
  };
  let file: string;
  try {
    file = createRequire(from).resolve(`${name}/package.json`);
  } catch (cause) {
    return fail('it is not installed, or does not export its package.json', cause);
  }
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { tensorwright?: { plugins?: unknown } };
  const named = manifest.tensorwright?.plugins;
  const platform = `${process.platform}-${process.arch}`;
  const isByPlatform = typeof named === 'object' && named !== null;
  const library = isByPlatform ? (named as Record<string, unknown>)[platform] : named;
  if (typeof library !== 'string')
    return fail(
      isByPlatform
        ? `its package.json names no library for ${platform}, only for ${Object.keys(named).join(', ')}`
        : 'its package.json names no library: { "tensorwright": { "plugins": "build/….so" } }',
    );
  return join(dirname(file), library);
}
