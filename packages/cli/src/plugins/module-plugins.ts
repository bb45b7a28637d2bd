/** The plugins that a JavaScript module exports. */

import { operatorNames, operatorOf, TensorwrightError } from '@tensorwright/core';
import type { AnyPlugin } from '@tensorwright/plugins';
import { pathToFileURL } from 'node:url';

/**
 * Plugins among the exports, lists of them, and what the default export holds, as that of a CommonJS module does.
 * @param name what the user called it
 * @throws ERR_PLUGIN when it cannot be loaded, has a list with something else in it, or plugins of another copy of the
 * packages
 */
export async function modulePlugins(name: string, path: string): Promise<readonly AnyPlugin[]> {
  let exported: Readonly<Record<string, unknown>>;
  try {
    exported = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    throw refused(name, `cannot be loaded: ${reasonOf(cause)}`, cause);
  }
  const main = exported['default'];
  const inMain: unknown[] = typeof main === 'object' && main !== null && !isPlugin(main) ? Object.values(main) : [];
  const values = [...Object.values(exported), ...(Array.isArray(main) ? [] : inMain)];
  const found = new Set(values.flatMap((value) => pluginsOf(name, value)));
  for (const plugin of found) checkCopy(name, plugin);
  return [...found];
}

function pluginsOf(name: string, value: unknown): readonly AnyPlugin[] {
  if (isPlugin(value)) return [value];
  if (!Array.isArray(value) || !value.some(isPlugin)) return [];
  const stranger = value.findIndex((item) => !isPlugin(item));
  if (stranger >= 0) throw refused(name, `exports a list whose item ${String(stranger)} is no plugin of definePlugin`);
  return value as readonly AnyPlugin[];
}

function isPlugin(value: unknown): value is AnyPlugin {
  if (typeof value !== 'object' || value === null) return false;
  const { key, title, operator, inputs } = value as Partial<Record<keyof AnyPlugin, unknown>>;
  return typeof key === 'object' && typeof title === 'string' && typeof operator === 'object' && Array.isArray(inputs);
}

/** Operators live in the package that defined them: ours must be the same one. */
function checkCopy(name: string, { title, operator }: AnyPlugin): void {
  if (operatorNames().includes(operator.name) && operatorOf(operator.name) === operator) return;
  throw refused(
    name,
    `plugin ${title} is defined by another copy of @tensorwright/plugins than this program's: install tensorwright in the project of the module, and run it there`,
  );
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION')
    return 'this Node.js does not run TypeScript: compile the module, or use Node.js 22.18 or newer';
  const taken = TensorwrightError.is(error) && /^operator '(.+)' is already registered$/.exec(error.message)?.[1];
  if (typeof taken === 'string')
    return `another plugin is called '${taken}': give it another version or namespace, or leave out those that come with Tensorwright (--no-stock-plugins)`;
  return message;
}

function refused(name: string, problem: string, cause?: unknown): TensorwrightError {
  return new TensorwrightError('ERR_PLUGIN', `--plugins: module '${name}': ${problem}`, { plugins: name }, { cause });
}
