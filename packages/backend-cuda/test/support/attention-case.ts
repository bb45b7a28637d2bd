/** One attention operator, on the device and on the reference. */

import { type DType, type GraphBuilder, type Value } from '@tensorwright/core';
import { compare, type Input } from '../compare.js';

export interface Case {
  readonly batch?: number;
  readonly heads: number;
  readonly keyHeads?: number;
  readonly queries: number;
  readonly keys?: number;
  readonly size: number;
  readonly valueSize?: number;
  readonly attributes?: Record<string, unknown>;
  readonly mask?: Input;
  readonly lengths?: readonly number[];
  readonly offsets?: readonly number[];
  readonly sinks?: boolean;
  readonly shape?: Readonly<Record<string, number>>;
}

/** Attention of made-up operands against the reference; `shape` forces these parameters of `tactic`. */
export function attention(dtype: DType, c: Case, tactic = 'cuda.attention.'): Promise<void> {
  const { batch = 1, heads, keyHeads = heads, queries, keys = queries, size, valueSize = size } = c;
  const inputs: Input[] = [
    { dtype, dims: [batch, heads, queries, size], fill: (i) => ((i * 7919) % 101) / 50 - 1 },
    { dtype, dims: [batch, keyHeads, keys, size], fill: (i) => ((i * 104729) % 97) / 40 - 1.2 },
    { dtype, dims: [batch, keyHeads, keys, valueSize] },
  ];
  const extra = (input: Input | undefined): number | undefined => (input ? inputs.push(input) - 1 : undefined);
  const vector = (values: readonly number[] | undefined): Input | undefined =>
    values && { dtype: 'int64', dims: [values.length], fill: (i) => values[i]! };
  const optional = [
    extra(c.mask),
    extra(vector(c.lengths)),
    extra(vector(c.offsets)),
    extra(c.sinks === true ? { dtype: 'float32', dims: [heads] } : undefined),
  ];
  while (optional.length > 0 && optional.at(-1) === undefined) optional.pop();
  return compare({
    inputs,
    graph: (b: GraphBuilder, ...v: Value[]) =>
      b.op(
        'attention',
        [v[0], v[1], v[2], ...optional.map((i) => (i === undefined ? undefined : v[i]))],
        (c.attributes ?? {}) as never,
      ),
    tolerance: { float16: 2e-3, bfloat16: 1.5e-2 }[dtype as string] ?? 2e-6,
    ...(c.shape && { force: { tactic, parameters: { keyWarps: 1, ...c.shape } } }),
  });
}
