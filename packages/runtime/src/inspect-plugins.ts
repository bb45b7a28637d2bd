/** Plugins that a plan's steps call, and the libraries that it carries, as plain data. */

import {
  operatorsIn,
  type PlanHeader,
  type PlanProgram,
  type PlanStep,
  type PluginKey,
  pluginOfOperatorName,
  pluginTitle,
} from '@tensorwright/core';

/**
 * Who has the code: a plugin library, a function in TypeScript (both of the process that runs the plan), or the plan
 * itself, in kernels that were compiled when it was built.
 */
export type PluginCode = 'library' | 'function' | 'kernels';

/** A plugin that layers of a plan call on one backend. */
export interface PluginInspection {
  /** 'acme::LeakyScale 1' */
  readonly plugin: string;
  readonly code: PluginCode;
  /** That runs these layers. */
  readonly backend: string;
  /** Layers that call it. */
  readonly layers: number;
  /** The library that the plan carries for it, by its file name. */
  readonly carriedBy?: string;
}

/** A library that the plan carries; it runs only where the host allows code from plans. */
export interface LibraryInspection {
  /** File name. */
  readonly name: string;
  /** 'linux-x64' */
  readonly platform: string;
  /** Of the file. */
  readonly bytes: number;
  /** Those of it that the plan's steps call: 'acme::LeakyScale 1'. */
  readonly plugins: readonly string[];
}

type Call = Pick<PluginInspection, 'plugin' | 'code' | 'backend'>;

export function inspectLibraries({ libraries = [] }: PlanHeader): LibraryInspection[] {
  return libraries.map(({ name, platform, bytes, plugins }) => ({
    name,
    platform,
    bytes,
    plugins: plugins.map(pluginTitle),
  }));
}

/** In the order of their first use; those in the bodies of control steps too. */
export function inspectPlugins(header: PlanHeader): PluginInspection[] {
  const libraries = inspectLibraries(header);
  const counted = new Map<string, Call & { layers: number }>();
  for (const call of callsOf(header.program)) {
    const key = JSON.stringify(call);
    const known = counted.get(key);
    if (known) known.layers++;
    else counted.set(key, { ...call, layers: 1 });
  }
  return [...counted.values()].map((call) => {
    const library = call.code === 'library' ? libraries.find((l) => l.plugins.includes(call.plugin)) : undefined;
    return { ...call, ...(library && { carriedBy: library.name }) };
  });
}

function callsOf(program: PlanProgram): Call[] {
  return program.segments.flatMap(({ backend, begin, end }) =>
    program.steps
      .slice(begin, end)
      .flatMap((step) => [...callsOfStep(step, backend), ...(step.programs ?? []).flatMap(callsOf)]),
  );
}

function callsOfStep(step: PlanStep, backend: string): Call[] {
  const { kernel, attributes } = step;
  if (kernel === 'plugin')
    return [{ plugin: pluginTitle(attributes as unknown as PluginKey), code: 'library', backend }];
  const { plugin } = attributes;
  if (typeof plugin === 'string') return [{ plugin, code: 'kernels', backend }];
  return operatorsIn(step).flatMap((operator) => {
    const key = pluginOfOperatorName(operator);
    return key ? [{ plugin: pluginTitle(key), code: 'function' as const, backend }] : [];
  });
}
