/** What to give on the command line where a model or a plan lacks a plugin. */

import { TensorwrightError } from '@tensorwright/core';

const name = '--plugins names the library, npm package or JavaScript module that has it';

/** undefined: the error is about something else. */
export function pluginHint(error: unknown): string | undefined {
  if (!TensorwrightError.is(error)) return undefined;
  const { code, message } = error;
  if (code === 'ERR_UNSUPPORTED' && message.includes('Define the operator as')) return name;
  if (code !== 'ERR_PLUGIN') return undefined;
  if (message.includes('does not allow code from plans'))
    return `${name}, and --allow-code-from-plan runs the code that the plan carries, if you trust its origin`;
  return /there is no plugin|no loaded library has plugin/.test(message) ? name : undefined;
}
