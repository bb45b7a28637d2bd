/** The report of ONNX's conformance cases, as it is written and recorded. */

import type { CaseResult } from './run-case.js';

export interface ReportedCase {
  readonly set: string;
  readonly case: string;
  readonly status: CaseResult['status'];
  readonly reason: string | null;
  readonly backends: readonly string[];
}

/** What `npm run conformance` writes. */
export interface ConformanceReport {
  readonly passed: number;
  readonly failed: number;
  readonly unsupported: number;
  readonly cases: readonly ReportedCase[];
}
