/** The stock plugins against their formulas: their functions for the processor, and their kernels on a device. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { describe, expect, it, vi } from 'vitest';
import { usualFloats } from '../src/plugins/case.js';
import { cases } from '../src/plugins/cases/index.js';
import { check, tolerances } from '../src/plugins/check.js';
import { Random } from '../src/plugins/random.js';

vi.setConfig({ testTimeout: 120_000 });

const backends = [['cpu'], ...(cudaBackend.device() === undefined ? [] : [['cuda', 'cpu']])];

describe.each(cases)('plugin $name', (subject) => {
  const problems = subject.problems(new Random(1)).filter((p) => !p.timed);

  describe.each(backends)('on %s', (...names) => {
    describe.each(subject.floats ?? usualFloats)('in %s', (float) => {
      const taken = problems.filter((p) => names.includes('cuda') || p.deviceOnly !== true);
      it.each(taken)('computes $name', async (problem) => {
        const { engine, errors } = await check(subject, problem, float, { backends: names });
        await engine.close();
        for (const [output, error] of Object.entries(errors)) expect(error, output).toBeLessThan(tolerances[float]);
      });
    });
  });
});
