/** Products of mma.sync whose splits of the depth are added within a cluster, which devices have from 9.0 on. */

import { describe, expect, it, vi } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { tensorTiles } from '../src/tactics/contraction/tiles.js';
import { compare, hasDevice } from './compare.js';

// Read when the emulator starts.
vi.hoisted(() => {
  process.env['TENSORWRIGHT_EMULATOR_CAPABILITY'] = '9.0';
});

const id = cudaBackend.device()?.id ?? '';
const isEmulated = process.env['TENSORWRIGHT_EMULATOR_CACHE'] !== undefined;

describe.skipIf(!hasDevice || !/sm_(9|1\d)\d/.test(id))('splits within a cluster', () => {
  it.each([
    [2, 4],
    [6, 4],
    [10, 2],
    [11, 8],
  ])('tile %i in %i splits', (tile, splits) =>
    compare({
      inputs: [
        { dtype: 'float16', dims: [140, 400] },
        { dtype: 'float16', dims: [400, 136] },
      ],
      graph: (b, x, y) => b.op('dot', [x, y], { lhs: 'mk', rhs: 'kn', out: 'mn' }),
      force: { tactic: 'cuda.contraction.tensor', parameters: { ...tensorTiles[tile]!, splits, cluster: 1 } },
    }),
  );
});

it.runIf(isEmulated)('run wherever the emulator does', () => {
  expect(id).toMatch(/sm_9/);
});
