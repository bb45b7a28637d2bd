/** What somebody gave in place of a tensor, for messages. */

import { Tensor } from '@tensorwright/core';
import { DeviceBuffer } from '../device-buffer.js';

/** 'a sequence', 'a Float32Array', 'a number': callers without types give anything. */
export function whatIs(given: unknown): string {
  if (given instanceof Tensor || given instanceof DeviceBuffer) return 'a tensor';
  if (given === null) return 'null';
  if (typeof given !== 'object') return `a ${typeof given}`;
  const name =
    'kind' in given ? String(given.kind) : ((given.constructor as { name?: string } | undefined)?.name ?? 'object');
  return `${/^[AEIOU]/i.test(name) ? 'an' : 'a'} ${name}`;
}
