/** Short names of content. */

import { createHash } from 'node:crypto';

/** 16 hexadecimal digits. */
export function digest(content: string | NodeJS.ArrayBufferView): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}
