/** A launch as the CUDA backend wants it, checked. */

import {
  type CudaArgument,
  type CudaLaunch,
  type Dim,
  DimExpression,
  Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { isExtent } from './extent.js';
import type { KernelTensor, Launch, LaunchArgument, SpecialArgument } from './cuda-implementation.js';

/** @throws ERR_PLUGIN naming the plugin and the kernel */
export function describeLaunch(
  launch: Launch,
  title: string,
  places: ReadonlyMap<KernelTensor, CudaArgument>,
): CudaLaunch {
  const { kernel, grid, block, sharedBytes, cluster } = (launch as Launch | null | undefined) ?? ({} as Launch);
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}, kernel '${kernel}': ${message}`, {
      plugin: title,
      kernel,
    });
  };
  if (typeof (kernel as unknown) !== 'string' || kernel.trim() === '') fail('a launch names a kernel');
  const three = <T>(given: T | readonly T[], one: T, what: string): [T, T, T] => {
    const list: readonly T[] = Array.isArray(given) ? (given as readonly T[]) : [given as T];
    if (list.length === 0 || list.length > 3) fail(`${what} has 1 to 3 extents, not ${String(list.length)}`);
    return [list[0]!, list[1] ?? one, list[2] ?? one];
  };
  const threads = three<number>(block, 1, 'block');
  if (!threads.every(isCount) || threads[0] * threads[1] * threads[2] > 1024)
    fail(`a block has 1 to 1024 threads, not ${threads.join(' x ')}`);
  const blocks = three<Dim>(grid, 1, 'grid');
  if (!blocks.every(isExtent)) fail(`a grid has extents of 0 or more blocks, not ${texts(blocks)}`);
  if (sharedBytes !== undefined && !(Number.isSafeInteger(sharedBytes) && sharedBytes >= 0))
    fail(`sharedBytes is ${String(sharedBytes)}, which is no number of bytes`);
  const together = cluster && three<number>(cluster, 1, 'cluster');
  if (together && !together.every(isCount))
    fail(`a cluster has 1 or more blocks each way, not ${together.join(' x ')}`);
  if (!Array.isArray(launch.arguments)) fail('its arguments must be a list');
  return {
    kernel,
    grid: blocks,
    block: threads,
    ...(sharedBytes !== undefined && { sharedBytes }),
    ...(together && { cluster: together }),
    arguments: launch.arguments.map((argument, i) => describeArgument(argument, i, places, fail)),
  };
}

function texts(list: readonly unknown[]): string {
  return list.map(String).join(' x ');
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n > 0;
}

function describeArgument(
  argument: LaunchArgument,
  position: number,
  places: ReadonlyMap<KernelTensor, CudaArgument>,
  fail: (message: string) => never,
): CudaArgument {
  if (argument === undefined) return { kind: 'literal', text: 'nullptr' };
  if (typeof argument === 'boolean') return { kind: 'literal', text: String(argument) };
  if (argument instanceof Tensor) return { kind: 'constant', tensor: argument };
  if (typeof argument === 'number')
    return Number.isSafeInteger(argument)
      ? { kind: 'dim', value: argument }
      : fail(`argument ${String(position)} is ${String(argument)}: floats are written arg.float(…)`);
  if (typeof argument !== 'object' || (argument as unknown) === null)
    return fail(`argument ${String(position)} is no operand, number, tensor or arg.…`);
  if (places.has(argument as KernelTensor)) return places.get(argument as KernelTensor)!;
  if ('kind' in argument && specialKinds.has(argument.kind)) return special(argument);
  if (argument instanceof DimExpression) return { kind: 'dim', value: argument };
  return fail(`argument ${String(position)} is no operand, number, tensor or arg.…`);
}

const specialKinds: ReadonlySet<string> = new Set<SpecialArgument['kind']>(['literal', 'workspace', 'extents']);

function special({ kind, value }: SpecialArgument): CudaArgument {
  switch (kind) {
    case 'literal':
      return { kind, text: value as string };
    case 'workspace':
      return { kind, offset: value as Dim };
    case 'extents':
      return { kind };
  }
}
