/** Random problems, one of each family, by several kernels each, on the processor and on the emulated device. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { describe, expect, it } from 'vitest';
import { check, type Job } from '../src/kernels/check.js';
import { tolerances } from '../src/kernels/tolerances.js';
import { families } from '../src/kernels/families/index.js';

const hasDevice = cudaBackend.device() !== undefined;

describe.each(hasDevice ? ['cpu', 'cuda'] : ['cpu'])('kernels of %s', (backend) => {
  it.each(families.map((f, i) => [f.name, i] as const))(
    '%s',
    async (family, index) => {
      const floats = ['float32', 'float16', 'bfloat16'] as const;
      for (const seed of backend === 'cpu' ? [index, index + 100, index + 200] : [index]) {
        const float = floats[seed % 3]!;
        const job: Job = { family, seed, float, isDynamic: seed % 2 === 1, backend, candidates: 2 };
        const { problem, runs } = await check(job);
        expect(runs.length).toBeGreaterThan(0);
        for (const { error, failure, tactics } of runs)
          expect(error, `${problem} by ${tactics.join(' ')} ${failure ?? ''}`).toBeLessThanOrEqual(tolerances[float]);
      }
    },
    120_000,
  );
});
