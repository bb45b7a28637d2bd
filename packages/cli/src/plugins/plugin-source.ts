/** What a name on the command line stands for: a shared library, an npm package or a JavaScript module. */

import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { TensorwrightError } from '@tensorwright/core';
import type { AnyPlugin, PluginLibrary } from '@tensorwright/plugins';
import { modulePlugins } from './module-plugins.js';

export interface PluginSource {
  readonly plugins: readonly AnyPlugin[];
  /** Of a shared library. */
  close?(): void;
}

const kinds = 'a shared library (.so, .dll, .dylib), a JavaScript module (.js, .mjs, .cjs) or an npm package';
const moduleFile = /\.[cm]?[jt]s$/;
const libraryFile = /\.(so(\.\d+)*|dylib|dll|node)$/;
const packageName = /^(@[^/\\]+\/)?[^./\\][^/\\]*$/;

/**
 * Files are looked for from the working folder, and packages as a module of it would find them.
 * @throws ERR_INVALID_OPTION when there is no such thing, ERR_PLUGIN when it has no plugins that can be used
 */
export async function openPluginSource(name: string): Promise<PluginSource> {
  if (moduleFile.test(name)) return openModule(name, await fileAt(name));
  if (libraryFile.test(name) || !packageName.test(name)) return openLibrary(name, await fileAt(name));
  return openPackage(name);
}

async function fileAt(name: string): Promise<string> {
  const path = resolve(name);
  const found = await stat(path).catch(() => undefined);
  if (!found) throw invalid(name, `there is no file '${name}'; expected ${kinds}`);
  if (found.isDirectory()) throw invalid(name, `'${name}' is a folder; expected ${kinds}`);
  return path;
}

/** A module may also register its plugins itself: then it exports none, and that is fine. */
async function openModule(name: string, path: string): Promise<PluginSource> {
  const { PluginRegistry } = await import('@tensorwright/plugins');
  const before = PluginRegistry.global.list().length;
  const plugins = await modulePlugins(name, path);
  if (plugins.length === 0 && PluginRegistry.global.list().length === before)
    throw new TensorwrightError(
      'ERR_PLUGIN',
      `--plugins: module '${name}' exports no plugin: export what definePlugin returns, or a list of it`,
      { plugins: name },
    );
  return { plugins };
}

/** @param library a path, or a package's name */
async function openLibrary(name: string, library: string): Promise<PluginSource> {
  const { PluginLibrary } = await import('@tensorwright/plugins');
  let loaded: PluginLibrary;
  try {
    loaded = PluginLibrary.load(library);
  } catch (error) {
    if (!TensorwrightError.is(error)) throw error;
    const details = { ...error.details, plugins: name };
    throw new TensorwrightError(error.code, `--plugins: ${error.message}`, details, { cause: error });
  }
  return { plugins: loaded.plugins, close: () => loaded.close() };
}

/** Its library, where package.json names one; else its own module. */
async function openPackage(name: string): Promise<PluginSource> {
  const fromHere = createRequire(join(process.cwd(), 'package.json'));
  const located = (request: string): string | undefined => {
    try {
      return fromHere.resolve(request);
    } catch {
      return undefined;
    }
  };
  const manifest = located(`${name}/package.json`);
  if (manifest !== undefined) {
    const { tensorwright } = JSON.parse(await readFile(manifest, 'utf8')) as { tensorwright?: { plugins?: unknown } };
    if (tensorwright?.plugins !== undefined) return openLibrary(name, name);
  }
  const main = located(name);
  if (main !== undefined) return openModule(name, main);
  throw invalid(
    name,
    manifest === undefined
      ? `there is no package '${name}' here: npm install ${name}, or write a file as ./${name}`
      : `package '${name}' has neither a library ("tensorwright": { "plugins": … } in its package.json) nor a module`,
  );
}

function invalid(name: string, problem: string): TensorwrightError {
  return new TensorwrightError('ERR_INVALID_OPTION', `--plugins: ${problem}`, { plugins: name });
}
