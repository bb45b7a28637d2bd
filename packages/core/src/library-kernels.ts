/**
 * Operators that a plugin library computes: a step of the native executor, which finds the plugin by its name. Backends
 * that run such steps offer them as one more tactic.
 */

import type { Candidate, EmittedStep } from './backend.js';
import type { GroupView } from './group-view.js';
import { kernelProblem, type KernelProblem } from './operator-kernels.js';
import { operatorOf } from './operator.js';
import type { PlanAttribute } from './plan.js';
import type { PluginKey } from './plugin-key.js';

export type LibraryBackend = 'cpu' | 'cuda';

export interface LibraryKernels {
  /** Who provides them, and what changes whenever they do: part of a timing-cache entry. */
  readonly producer: string;
  /** Why they do not take this problem; undefined when they do. */
  refuses(problem: KernelProblem): string | undefined;
  /** Of the step: the plugin's name, version and namespace, and its fields. */
  attributes(problem: KernelProblem): Readonly<Record<string, PlanAttribute>>;
  readonly key: PluginKey;
  readonly library: LibraryFile;
  /** For each output, the input that the plugin changes in place: both are the same memory. Default: none. */
  readonly aliases?: readonly (number | undefined)[];
}

/** The shared library that plugins come from. */
export interface LibraryFile {
  readonly path: string;
  /** @throws ERR_PLUGIN where it is no longer the file that was loaded */
  read(): Uint8Array;
}

/** Several libraries may have the plugin: the one loaded last is asked. */
const provided = new Map<string, LibraryKernels[]>();
const keyOf = (backend: LibraryBackend, operator: string): string => `${backend} ${operator}`;

/** The result takes them away again. */
export function provideLibraryKernels(backend: LibraryBackend, operator: string, kernels: LibraryKernels): () => void {
  const key = keyOf(backend, operator);
  provided.set(key, [...(provided.get(key) ?? []), kernels]);
  return () => {
    provided.set(
      key,
      provided.get(key)!.filter((k) => k !== kernels),
    );
  };
}

/** The library of a plugin that a step calls, the one loaded last; undefined: none is loaded. */
export function libraryOf({ name, version, namespace }: PluginKey): LibraryFile | undefined {
  const has = ({ key }: LibraryKernels): boolean =>
    key.name === name && key.version === version && key.namespace === namespace;
  for (const kernels of provided.values()) {
    const found = kernels.findLast(has);
    if (found) return found.library;
  }
  return undefined;
}

export interface LibraryTactic {
  readonly name: string;
  refuses(group: GroupView): string | undefined;
  candidates(group: GroupView): readonly LibraryCandidate[];
  emit(group: GroupView): Promise<EmittedStep>;
}

type LibraryCandidate = Omit<Candidate, 'tactic'>;

/** @param refuseOperands the backend's own word on what its memory can hold */
export function libraryTactic(
  backend: LibraryBackend,
  refuseOperands: (group: GroupView) => string | undefined,
): LibraryTactic {
  const kernelsOf = (group: GroupView): LibraryKernels | undefined =>
    group.anchor && provided.get(keyOf(backend, group.anchor.op))?.at(-1);
  return {
    name: 'library',
    refuses(group: GroupView): string | undefined {
      const kernels = kernelsOf(group);
      if (!kernels) return 'no plugin of a library';
      if (group.node !== group.anchor) return 'only the operator itself';
      return refuseOperands(group) ?? kernels.refuses(kernelProblem(group.node));
    },
    candidates: (group) => {
      const { producer, aliases } = kernelsOf(group)!;
      return [
        {
          parameters: {},
          inputs: group.node.inputs.map(() => 'rows'),
          outputs: group.outputs.map(() => 'rows'),
          ...(aliases && { aliases }),
          stridedOutput: false,
          estimate: 10,
          producer,
        },
      ];
    },
    async emit(group: GroupView): Promise<EmittedStep> {
      return {
        kernel: 'plugin',
        attributes: {
          ...kernelsOf(group)!.attributes(kernelProblem(group.node)),
          pluginOutputs: operatorOf(group.node.op).outputs ?? [],
        },
        inputs: group.node.inputs.map((v, index) => (v ? { kind: 'input', index } : { kind: 'omitted' })),
        outputs: group.outputs.map((_, index) => ({ kind: 'output', index })),
      };
    },
  };
}
