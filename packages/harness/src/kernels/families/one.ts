import type { Random } from '../../plugins/random.js';

/** One of them, each as often. */
export function one<T>(random: Random, list: readonly T[]): T {
  return list[random.integer(list.length)]!;
}
