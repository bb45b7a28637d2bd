import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ConformanceCase, conformanceCases, sharedFolder } from './support/conformance-data.js';
import { evaluateCase } from './support/evaluate-case.js';

const data = conformanceCases(join(sharedFolder, 'onnx-conformance'));

async function failures(
  cases: readonly ConformanceCase[],
  symbolic: boolean,
): Promise<{ failed: string[]; unsupported: string[] }> {
  const failed: string[] = [];
  const unsupported: string[] = [];
  for (const c of cases) {
    const { status, reason } = await evaluateCase(data!.root, c, { symbolic });
    if (status === 'failed') failed.push(`${c.case}: ${reason ?? ''}`);
    if (status === 'unsupported') unsupported.push(`${c.case}: ${reason ?? ''}`);
  }
  return { failed, unsupported };
}

/** The whole networks of the set `light` take the plain evaluation minutes. */
const quick = data?.cases.filter((c) => c.set !== 'light') ?? [];

describe.skipIf(!data)('ONNX conformance data (in ../shared/onnx-conformance)', () => {
  it('parses and evaluates: every case passes or names what is lacking', { timeout: 300_000 }, async () => {
    const { failed, unsupported } = await failures(quick, false);
    expect(failed).toEqual([]);
    // Image formats, gradients, and one graph whose ranks only its data decide.
    expect(unsupported.length, unsupported.join('\n')).toBeLessThanOrEqual(10);
  });

  it('does so with symbolic extents', { timeout: 300_000 }, async () => {
    const { failed } = await failures(quick, true);
    expect(failed).toEqual([]);
  });
});
