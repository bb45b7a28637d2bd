/** What goes wrong in somebody's function, under the plugin's name. */

import { TensorwrightError } from '@tensorwright/core';

/** @param what for the message: 'infer threw' */
export function pluginError(title: string, what: string, cause: unknown): TensorwrightError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new TensorwrightError('ERR_PLUGIN', `plugin ${title}: ${what}: ${message}`, { plugin: title }, { cause });
}
