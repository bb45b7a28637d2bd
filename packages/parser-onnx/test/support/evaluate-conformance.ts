/**
 * Runs conformance cases through parse and evaluation and prints those that do not pass.
 * Started by scripts/evaluate-conformance.mjs.
 */

import { join } from 'node:path';
import { conformanceCases, sharedFolder } from './conformance-data.js';
import { evaluateCase } from './evaluate-case.js';

/** A filter is a part of a case's set/name, or `op:NAME` for all cases with that operator. Without one, the whole networks of the slow set `light` are left out. */
export async function main(args: readonly string[]): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const summary = args.includes('--summary');
  const filters = args.filter((a) => !a.startsWith('--'));
  const data = conformanceCases(process.env['CONFORMANCE_DIR'] ?? join(sharedFolder, 'onnx-conformance'));
  if (!data) {
    say('no conformance data: set CONFORMANCE_DIR to a folder with index.json');
    return 1;
  }
  const wanted = data.cases.filter(
    (c) =>
      (filters.length === 0 && c.set !== 'light') ||
      filters.some((f) => (f.startsWith('op:') ? c.ops.includes(f.slice(3)) && c.set !== 'light' : c.path.includes(f))),
  );
  const counts = { passed: 0, failed: 0, unsupported: 0 };
  const reasons = new Map<string, number>();
  for (const c of wanted) {
    const result = await evaluateCase(data.root, c, {
      symbolic: args.includes('--symbolic'),
      written: args.includes('--written'),
    });
    counts[result.status]++;
    if (result.status === 'passed') continue;
    const reason = (result.reason ?? '').replace(/^(ERR_\w+) model: /, '$1 ');
    if (summary) {
      const key =
        /\(([^()]*), opset \d+\): the operator is not known/.exec(reason)?.[1] ?? reason.split('\n')[0]!.slice(0, 160);
      reasons.set(key, (reasons.get(key) ?? 0) + 1);
    } else {
      say(
        `${result.status.toUpperCase()} ${c.set}/${c.case} [${c.ops.slice(0, 6).join(' ')}]\n    ${reason.split('\n').slice(0, 8).join('\n    ')}`,
      );
    }
  }
  for (const [reason, count] of [...reasons].sort((a, b) => b[1] - a[1]))
    say(`${String(count).padStart(5)}  ${reason}`);
  say(`${wanted.length} cases: ${counts.passed} passed, ${counts.failed} failed, ${counts.unsupported} unsupported`);
  return 0;
}
