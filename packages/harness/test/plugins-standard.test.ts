/** The standard layers that plugins are timed beside compute the same as they do. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import { describe, expect, it, vi } from 'vitest';
import { cases } from '../src/plugins/cases/index.js';
import { check, tolerances } from '../src/plugins/check.js';
import { Random } from '../src/plugins/random.js';

vi.setConfig({ testTimeout: 120_000 });

/** Problems that the layers can express. */
const comparable: Readonly<Record<string, readonly string[]>> = {
  'crop-and-resize': ['an image that no block keeps'],
  'disentangled-attention': ['linear distances'],
  'efficient-nms': ['corners', 'several chunks'],
  'efficient-nms-onnx': ['corners'],
  'pillar-scatter': ['2 frames', 'several pillars in a cell'],
  'topk-last-dim': ['short rows', 'the first axis'],
};

describe.skipIf(cudaBackend.device() === undefined)('standard layers beside plugins', () => {
  const chosen = Object.entries(comparable).flatMap(([name, problems]) => {
    const subject = cases.find((c) => c.name === name)!;
    const all = subject.problems(new Random(1));
    return problems.map((problem) => ({ name, problem, subject, given: all.find((p) => p.name === problem)! }));
  });
  it.each(chosen)('$name: $problem', async ({ subject, given }) => {
    for (const float of ['float32', 'float16'] as const) {
      const { engine, errors } = await check(subject, given, float, { backends: ['cuda', 'cpu'], part: 'standard' });
      await engine.close();
      for (const [output, error] of Object.entries(errors)) expect(error, output).toBeLessThan(tolerances[float]);
    }
  });
});
