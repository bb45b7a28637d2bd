/** Matrix products, alone and in batches, by constants and by other inputs. */

import type { Operand } from '../../plugins/case.js';
import { batched, constant, type Family } from '../problem.js';
import { epilogue } from './epilogue.js';
import { one } from './one.js';

const extents = [1, 3, 7, 8, 16, 17, 33, 64, 72, 100, 129, 256, 264] as const;

export const product: Family = {
  name: 'product',
  problem(random) {
    const [m, n, k] = [one(random, extents), one(random, extents), one(random, [...extents, 520])];
    const turned = one(random, [false, true]);
    const weight = constant(random.floats(turned ? [n, k] : [k, n]));
    const after = epilogue(random, [m, n], [n]);
    return {
      name: `${String(m)} x ${String(n)} x ${String(k)}${turned ? ', transposed' : ''}, ${after.name}`,
      operands: { x: batched(random.floats([m, k])), weight, ...after.operands },
      layers: (network, o) =>
        after.follow(
          network,
          network.addMatrixMultiply(o['x']!, 'none', o['weight']!, turned ? 'transpose' : 'none'),
          o,
        ),
    };
  },
};

export const batchedProduct: Family = {
  name: 'batched product',
  problem(random) {
    const batch = one(random, [1, 2, 5, 12]);
    const [m, n, k] = [one(random, extents), one(random, extents), one(random, extents)];
    const [turnA, turnB] = [one(random, [false, true]), one(random, [false, true])];
    const after = epilogue(random, [batch, m, n], [n]);
    const a = random.floats(turnA ? [batch, k, m] : [batch, m, k]);
    const b = random.floats(turnB ? [batch, n, k] : [batch, k, n]);
    return {
      name: `${String(batch)} of ${String(m)} x ${String(n)} x ${String(k)}, ${turnA ? 'T' : 'N'}${turnB ? 'T' : 'N'}, ${after.name}`,
      operands: {
        a: batched(a),
        b: batched(b),
        ...after.operands,
      },
      layers: (network, o) => {
        const y = network.addMatrixMultiply(
          o['a']!,
          turnA ? 'transpose' : 'none',
          o['b']!,
          turnB ? 'transpose' : 'none',
        );
        return after.follow(network, y, o);
      },
    };
  },
};

/** The queries, keys and values of few or many heads, with and without a mask. */
export const attention: Family = {
  name: 'attention',
  problem(random) {
    const [batch, heads] = [one(random, [1, 2, 3]), one(random, [1, 2, 6])];
    const shared = heads % 2 === 0 ? one(random, [1, 2]) : 1;
    const size = one(random, [8, 32, 40, 64, 96, 128]);
    const [queries, keys] = [one(random, [1, 5, 64, 77, 130]), one(random, [3, 64, 77, 128, 197])];
    const masked = one(random, [false, true]);
    const causal = queries <= keys && one(random, [false, false, true]);
    const softcap = one(random, [0, 0, 20]);
    const heads4 = (count: number, rows: number): Operand => batched(random.floats([batch, count, rows, size]));
    return {
      name:
        `${String(batch)} x ${String(heads)}/${String(heads / shared)} x ${String(queries)} by ${String(keys)} of ${String(size)}` +
        `${masked ? ', mask' : ''}${causal ? ', causal' : ''}${softcap ? ', softcap' : ''}`,
      operands: {
        query: heads4(heads, queries),
        key: heads4(heads / shared, keys),
        value: heads4(heads / shared, keys),
        ...(masked && { mask: random.floats([1, 1, queries, keys], -2, 2) }),
      },
      layers: (network, o) =>
        network.addAttention(o['query']!, o['key']!, o['value']!, {
          causal,
          softcap,
          ...(o['mask'] && { mask: o['mask'] }),
        }),
    };
  },
};
