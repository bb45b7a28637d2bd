/** A plan file as an engine. */

import type { Engine } from '@tensorwright/runtime';
import type { CodeFlags } from '../options/plugin-options.js';
import type { Reporter } from '../output/reporter.js';
import { registerOwnBackends } from './build-plan.js';

interface PlanFlags extends CodeFlags {
  readonly threads?: number;
}

export async function openPlan(path: string, flags: PlanFlags, reporter: Reporter): Promise<Engine> {
  const { Runtime } = await import('@tensorwright/runtime');
  await registerOwnBackends();
  return Runtime.load(path, {
    logger: reporter.logger,
    allowCodeFromPlan: flags.allowCodeFromPlan === true,
    ...(flags.threads !== undefined && { threads: flags.threads }),
  });
}

/** The shapes that a profile is fastest at, by input. */
export function optimumOf(engine: Engine, profile: number): Map<string, readonly number[]> {
  return new Map(Object.entries(engine.profiles[profile]?.inputs ?? {}).map(([name, { opt }]) => [name, opt]));
}
