/** Problems of realistic size. */

import type { Problem } from './case.js';
import { Random } from './random.js';

/** One that is timed. Its inputs, which are large, are made when they are asked for. */
export function timed(
  name: string,
  fields: Problem['fields'],
  make: (random: Random) => Problem['inputs'],
  more: Partial<Problem> = {},
): Problem {
  let inputs: Problem['inputs'] | undefined;
  return {
    ...{ name, fields, timed: true, ...more },
    get inputs() {
      return (inputs ??= make(new Random(1)));
    },
  };
}
