/** The native library, loaded on first use. */

import { loadNative, type Native } from '@tensorwright/native';

export function native(): Native {
  return loadNative();
}
