/** Builds a network, with progress on stderr. */

import { stat } from 'node:fs/promises';
import type { BuildOptions, Plan } from '@tensorwright/builder';
import { loadBackend, nameMatcher, type Network, topologicalOrder } from '@tensorwright/core';
import { usageError } from '../exit-codes.js';
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
  await checkTimingCache(options.timingCache);
  warnOfUnknownNodes(network, options, reporter);
  await registerOwnBackends();
  if (options.backends === undefined) await warnWithoutAddon(reporter);
  const { Builder } = await import('@tensorwright/builder');
  const started = performance.now();
  const plan = await reporter.progress('building', (update) =>
    new Builder().build(network, { ...options, logger: reporter.logger, onProgress: update, signal }),
  );
  return { plan, milliseconds: performance.now() - started };
}

/** A cache that cannot be kept is no error of a build, but one that never can is a mistake. */
async function checkTimingCache(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() === false) throw usageError(`--timing-cache: '${folder}' is no folder`);
}

/** A misspelt name would be a node less in float32, without a word. */
function warnOfUnknownNodes({ graph, builder }: Network, { precision }: BuildOptions, reporter: Reporter): void {
  const patterns = precision?.keepFloat32 ?? [];
  if (patterns.length === 0) return;
  const names = new Set(topologicalOrder(graph).flatMap((node) => builder.provenance.of(node)));
  for (const pattern of patterns)
    if (![...names].some(nameMatcher([pattern]))) reporter.warn(`--keep-float32: no node matches '${pattern}'`);
}

/** What nobody has chosen, and makes a plan slow, is told. */
async function warnWithoutAddon(reporter: Reporter): Promise<void> {
  const cpu = await loadBackend('cpu');
  if (cpu.device()) return;
  reporter.warn(`without the backend 'cpu' steps run in plain TypeScript, which is slow: ${cpu.unavailable?.() ?? ''}`);
}

/** They register themselves when they are imported; this package depends on them, whatever else is installed. */
export async function registerOwnBackends(): Promise<void> {
  await Promise.all([
    import('@tensorwright/backend-cpu'),
    import('@tensorwright/backend-cuda'),
    import('@tensorwright/backend-reference'),
  ]);
}
