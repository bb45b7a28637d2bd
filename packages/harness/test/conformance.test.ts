/** A fixed part of ONNX's conformance cases, and all of the seeded ones, the whole way on the CPU with its fallback. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { conformanceCases } from '../src/conformance/data.js';
import { runCase } from '../src/conformance/run-case.js';

const shared = resolve(import.meta.dirname, '../../../../shared');
/** Every n-th case of a folder: `npm run conformance` runs them all. */
const sample = { 'onnx-conformance': 8, 'onnx-seeded': 1 };
/** Operators that only other software's data can feed: their cases are refused by name. */
const refused = ['ImageDecoder'];

describe.each(Object.entries(sample))('%s', (folder, every) => {
  const path = join(shared, folder);
  test.skipIf(!existsSync(path))(
    `one case of ${every} (needs ../shared/${folder})`,
    async () => {
      const { root, cases } = conformanceCases(path)!;
      const failures: string[] = [];
      let native = 0;
      for (const c of cases.filter((_, i) => i % every === 0)) {
        const { status, reason, backends } = await runCase(root, c, ['cpu', 'reference'], 0);
        const expected = c.ops.some((op) => refused.includes(op)) ? 'unsupported' : 'passed';
        if (status !== expected) failures.push(`${c.path}: ${status}: ${reason}`);
        if (backends.includes('cpu')) native++;
      }
      expect(failures.join('\n')).toBe('');
      expect(native, 'cases with a part on the CPU').toBeGreaterThan(cases.length / every / 2);
    },
    300_000,
  );
});
