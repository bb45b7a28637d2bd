/** Builds a network, with progress on stderr. */

import type { BuildOptions, Plan } from '@tensorwright/builder';
import type { Network } from '@tensorwright/core';
import type { Reporter } from '../output/reporter.js';

export interface BuiltPlan {
  readonly plan: Plan;
  readonly milliseconds: number;
}

export async function buildPlan(
  network: Network,
  options: BuildOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<BuiltPlan> {
  await registerOwnBackends();
  const { Builder } = await import('@tensorwright/builder');
  const started = performance.now();
  const plan = await reporter.progress('building', (update) =>
    new Builder().build(network, { ...options, logger: reporter.logger, onProgress: update, signal }),
  );
  return { plan, milliseconds: performance.now() - started };
}

/** They register themselves when they are imported; this package depends on them, whatever else is installed. */
export async function registerOwnBackends(): Promise<void> {
  await Promise.all([
    import('@tensorwright/backend-cpu'),
    import('@tensorwright/backend-cuda'),
    import('@tensorwright/backend-reference'),
  ]);
}
