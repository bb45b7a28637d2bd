/** What is wrong with a model: every problem is collected, and all are told in one error. */

import { type ErrorCode, TensorwrightError } from '@tensorwright/core';

export interface ModelProblem {
  readonly code: ErrorCode;
  /** Name of the node, or of what the problem is about ("initializer 'w'"). */
  readonly node: string;
  readonly operator?: string;
  readonly domain?: string;
  readonly opset?: number;
  readonly reason: string;
  /** What the user can do. */
  readonly hint?: string;
}

/** Ends the import of one node; caught by the graph importer, which records the problem. */
export class ImportFailure extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, reason: string, hint?: string) {
    super(reason);
    this.code = code;
    this.hint = hint;
  }
}

/** Ends the import of a node that depends on a failed one: nothing to report. */
export class SkippedNode extends Error {}

/** Problems told in the message; `details.problems` has them all. */
const problemsInMessage = 20;

export class ProblemList {
  readonly #problems: ModelProblem[] = [];
  readonly #seen = new Set<string>();

  get all(): readonly ModelProblem[] {
    return this.#problems;
  }

  add(problem: ModelProblem): void {
    const key = JSON.stringify(problem);
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#problems.push(problem);
  }

  /** @throws the one error that lists them all, if there is any */
  throwIfAny(model: string): void {
    if (this.#problems.length === 0) return;
    const codes = new Set(this.#problems.map((p) => p.code));
    const code =
      codes.size === 1 ? this.#problems[0]!.code : codes.has('ERR_INTERNAL') ? 'ERR_INTERNAL' : 'ERR_INVALID_MODEL';
    const count = this.#problems.length;
    const details = { model, problems: this.#problems };
    if (count === 1) throw new TensorwrightError(code, `${model}: ${formatProblem(this.#problems[0]!)}`, details);
    const lines = this.#problems.slice(0, problemsInMessage).map((p) => `  ${formatProblem(p)}`);
    if (count > problemsInMessage) lines.push(`  … and ${String(count - problemsInMessage)} more (details.problems)`);
    throw new TensorwrightError(code, `${model}: ${String(count)} problems\n${lines.join('\n')}`, details);
  }
}

export function formatProblem(p: ModelProblem): string {
  const domain = p.domain === undefined || p.domain === 'ai.onnx' ? '' : `${p.domain}.`;
  const operator =
    p.operator === undefined
      ? ''
      : ` (${domain}${p.operator}${p.opset === undefined ? '' : `, opset ${String(p.opset)}`})`;
  return `${p.node}${operator}: ${p.reason}${p.hint === undefined ? '' : `. ${p.hint}`}`;
}
