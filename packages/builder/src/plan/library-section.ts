/** The plugin libraries that a plan's steps call, laid out as a section of the plan. */

import {
  alignUp,
  libraryOf,
  type PlanLibrary,
  type PlanProgram,
  type PlanStep,
  type PluginKey,
  pluginTitle,
  TensorwrightError,
} from '@tensorwright/core';
import { createHash } from 'node:crypto';
import { basename } from 'node:path';

export interface LibrarySection {
  readonly libraries: readonly PlanLibrary[];
  readonly bytes: Uint8Array;
}

const alignment = 64;

/** @throws ERR_PLUGIN where a library is no longer loaded, or its file has changed */
export function librarySection(program: PlanProgram): LibrarySection | undefined {
  const byPath = new Map<string, { bytes: Uint8Array; plugins: PluginKey[] }>();
  for (const key of calledPlugins(program).values()) {
    const file = libraryOf(key);
    if (!file)
      throw new TensorwrightError(
        'ERR_PLUGIN',
        `the library of plugin ${pluginTitle(key)} is closed: the plan cannot carry it`,
      );
    const entry = byPath.get(file.path) ?? { bytes: file.read(), plugins: [] };
    entry.plugins.push(key);
    byPath.set(file.path, entry);
  }
  if (byPath.size === 0) return undefined;
  let end = 0;
  const libraries = [...byPath].map(([path, { bytes, plugins }]): PlanLibrary => {
    const offset = alignUp(end, alignment);
    end = offset + bytes.length;
    return {
      name: basename(path),
      platform: `${process.platform}-${process.arch}`,
      offset,
      bytes: bytes.length,
      digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
      plugins,
    };
  });
  const section = new Uint8Array(end);
  [...byPath.values()].forEach(({ bytes }, i) => {
    section.set(bytes, libraries[i]!.offset);
  });
  return { libraries, bytes: section };
}

/** Steps of libraries, those in the bodies of control steps too. */
function calledPlugins(program: PlanProgram, found = new Map<string, PluginKey>()): Map<string, PluginKey> {
  const add = ({ attributes, kernel }: PlanStep): void => {
    if (kernel !== 'plugin') return;
    const { name, version, namespace } = attributes as unknown as PluginKey;
    found.set(JSON.stringify([namespace, name, version]), { name, version, namespace });
  };
  for (const { backend, begin, end } of program.segments)
    if (backend === 'cpu' || backend === 'cuda') program.steps.slice(begin, end).forEach(add);
  for (const step of program.steps) for (const body of step.programs ?? []) calledPlugins(body, found);
  return found;
}
