/** A plugin's CUDA implementation, as the CUDA backend asks for it. */

import {
  type CudaArgument,
  type CudaKernels,
  type CudaLaunch,
  type Dim,
  DimExpression,
  dimSymbols,
  dtypeInfo,
  formatDim,
  type KernelOperand,
  type KernelProblem,
  type KernelVariant,
  type Layout,
  type OperatorKernels,
  productOf,
  Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { cudaKernelFile } from '@tensorwright/native';
import { createHash } from 'node:crypto';
import { type FieldSchema, valuesOf } from './fields.js';
import { byName, nameOf } from './names.js';
import { pluginError } from './plugin-error.js';
import type {
  ByInput,
  ByOutput,
  CallContext,
  CudaImplementation,
  Format,
  KernelTensor,
  Launch,
  LaunchArgument,
  LaunchContext,
  Names,
  SpecialArgument,
} from './plugin.js';

interface Parts<I extends Names, O extends Names, F extends FieldSchema> {
  readonly title: string;
  readonly inputs: I;
  readonly outputs: O;
  readonly fields: F;
  readonly cuda: CudaImplementation<I, O, F>;
  /** Positions of inputs, by outputs. */
  readonly aliases?: readonly (number | undefined)[];
}

export function cudaKernelsOf<I extends Names, O extends Names, F extends FieldSchema>(
  parts: Parts<I, O, F>,
): OperatorKernels {
  const { title, cuda, aliases } = parts;
  const dtypes = cuda.dtypes ?? ['float32'];
  return {
    plugin: title,
    producer: title,
    ...(cuda.epilogue === true && { epilogue: true }),
    ...(cuda.count && { counts: true }),
    ...(aliases && { aliases }),
    refuses(problem: KernelProblem): string | undefined {
      const other = [...problem.inputs, ...problem.outputs].find((o) => o && !dtypes.includes(o.dtype));
      if (other) return `plugin ${title} has no CUDA kernel for ${other.dtype}; it has some for ${dtypes.join(', ')}`;
      const reason = cuda.refuses && named(title, 'cuda.refuses', () => cuda.refuses!(callOf(parts, problem).call));
      return reason === undefined ? undefined : `plugin ${title}: ${reason}`;
    },
    variants: (problem) => variantsOf(parts, problem),
  };
}

/**
 * What a variant launches for a problem, as a digest: functions with the same text may have other values around them. Times
 * of what launched otherwise are not taken for its own.
 */
function identityOf(describe: () => CudaKernels, aliases: readonly unknown[] = [], epilogue = false): string {
  let kernels: CudaKernels;
  try {
    kernels = describe();
  } catch {
    // Whoever compiles them says why.
    return 'invalid';
  }
  const text = JSON.stringify([kernels, aliases, epilogue], (_, value: unknown) =>
    value instanceof DimExpression
      ? formatDim(value)
      : value instanceof Tensor
        ? tensorIdentity(value as Tensor)
        : value,
  );
  return digest(text);
}

function tensorIdentity({ dtype, dims, data }: Tensor): unknown {
  return [dtype, dims, ArrayBuffer.isView(data) ? digest(data) : data];
}

function digest(content: string | NodeJS.ArrayBufferView): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16);
}

function variantsOf<I extends Names, O extends Names, F extends FieldSchema>(
  parts: Parts<I, O, F>,
  problem: KernelProblem,
): KernelVariant[] {
  const { cuda } = parts;
  const tactics = cuda.tactics ?? [''];
  const formats = cuda.formats ?? [{}];
  return formats.flatMap((format, f) =>
    tactics.map((tactic) => {
      const layouts = (names: Names): Layout[] => names.map((n) => format[nameOf(n)] ?? 'rows');
      let described: CudaKernels | undefined;
      const kernels = (): CudaKernels => (described ??= describeKernels(parts, problem, tactic, format));
      return {
        name: [tactic, formats.length > 1 ? `format${String(f)}` : ''].filter((part) => part !== '').join('-'),
        inputs: layouts(parts.inputs),
        outputs: layouts(parts.outputs),
        kernels,
        identity: () => identityOf(kernels, parts.aliases, cuda.epilogue),
      };
    }),
  );
}

function describeKernels<I extends Names, O extends Names, F extends FieldSchema>(
  parts: Parts<I, O, F>,
  problem: KernelProblem,
  tactic: string,
  format: Format,
): CudaKernels {
  const { cuda, title } = parts;
  const { call, places } = callOf(parts, problem);
  const context: LaunchContext<I, O, F> = { ...call, tactic, format };
  const launches = launchesOf(title, 'cuda.launches', () => cuda.launches(context), places);
  const workspaceBytes =
    cuda.workspaceBytes && named(title, 'cuda.workspaceBytes', () => cuda.workspaceBytes!(context));
  const count = cuda.count && describeCount(parts, problem, workspaceBytes, context, places);
  return {
    source: cuda.source,
    ...(cuda.uses && { uses: libraryFiles(title, cuda.uses) }),
    launches,
    ...(count && { count }),
    ...(workspaceBytes !== undefined && { workspaceBytes }),
  };
}

/** @throws ERR_PLUGIN naming the file that the kernel library does not have */
function libraryFiles(title: string, uses: readonly string[]): readonly string[] {
  const missing = uses.find((name) => !isLibraryFile(name));
  if (missing !== undefined)
    throw new TensorwrightError(
      'ERR_PLUGIN',
      `plugin ${title}: cuda.uses names '${missing}', which is no file of the kernel library`,
      { plugin: title },
    );
  return [...new Set(uses)];
}

function isLibraryFile(name: string): boolean {
  try {
    return /^\w+$/.test(name) && cudaKernelFile(`${name}.cuh`) !== '';
  } catch {
    return false;
  }
}

function launchesOf(
  title: string,
  what: string,
  call: () => readonly Launch[],
  places: ReadonlyMap<KernelTensor, CudaArgument>,
): CudaLaunch[] {
  const list = named(title, what, call) as readonly Launch[] | undefined;
  if (!Array.isArray(list) || list.length === 0)
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}: ${what} gives no launch`, { plugin: title });
  return list.map((launch: Launch) => describeLaunch(launch, title, places));
}

/** What counts can use neither the outputs nor the extents that it is to find. */
function describeCount<I extends Names, O extends Names, F extends FieldSchema>(
  { cuda, title }: Parts<I, O, F>,
  { inputs, outputs }: KernelProblem,
  workspaceBytes: Dim | undefined,
  context: LaunchContext<I, O, F>,
  places: ReadonlyMap<KernelTensor, CudaArgument>,
): CudaLaunch[] {
  const symbolsOf = (operands: readonly (KernelOperand | undefined)[]): ReadonlySet<unknown> =>
    new Set(operands.flatMap((o) => o?.dims.flatMap((d) => [...dimSymbols(d)]) ?? []));
  const [known, all] = [symbolsOf(inputs), symbolsOf(outputs)];
  const isLate = (d: Dim): boolean => [...dimSymbols(d)].some((s) => all.has(s) && !known.has(s));
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}: ${message}`, { plugin: title });
  };
  if (workspaceBytes !== undefined && isLate(workspaceBytes))
    fail('cuda.workspaceBytes depends on an extent that cuda.count is to find: say what it is at most');
  return launchesOf(title, 'cuda.count', () => cuda.count!(context), places).map((described) => {
    for (const argument of described.arguments)
      if (argument.kind === 'output')
        fail(`cuda.count gives kernel '${described.kernel}' an output, which has no memory yet`);
    const dims = described.arguments.flatMap((a) =>
      a.kind === 'dim' ? [a.value] : a.kind === 'workspace' ? [a.offset] : [],
    );
    if ([...described.grid, ...dims].some(isLate))
      fail(`cuda.count gives kernel '${described.kernel}' an extent that it is to find itself`);
    return described;
  });
}

/** The operands as somebody's functions see them, and which argument each one is. */
function callOf<I extends Names, O extends Names, F extends FieldSchema>(
  { inputs, outputs, fields }: Parts<I, O, F>,
  problem: KernelProblem,
): { call: CallContext<I, O, F>; places: ReadonlyMap<KernelTensor, CudaArgument> } {
  const places = new Map<KernelTensor, CudaArgument>();
  const operands = (
    kind: 'input' | 'output',
    list: readonly (KernelOperand | undefined)[],
  ): (KernelTensor | undefined)[] =>
    list.map((operand, index) => {
      if (!operand) return undefined;
      const tensor = kernelTensor(operand);
      places.set(tensor, { kind, index });
      return tensor;
    });
  const call: CallContext<I, O, F> = {
    inputs: byName(inputs, operands('input', problem.inputs)) as ByInput<I, KernelTensor>,
    outputs: byName(outputs, operands('output', problem.outputs)) as ByOutput<O, KernelTensor>,
    fields: valuesOf(fields, problem.attributes),
  };
  return { call, places };
}

/** @throws ERR_PLUGIN naming the plugin and the function, where that throws */
function named<T>(title: string, what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw TensorwrightError.is(error) ? error : pluginError(title, `${what} threw`, error);
  }
}

function kernelTensor({ dtype, dims }: KernelOperand): KernelTensor {
  return { dtype, dims, size: productOf(dims), type: typeName(dtype) };
}

const typeNames: Readonly<Record<string, string>> = { bool: 'b8', bfloat16: 'bf16' };

/** 'f32' for float32 … */
function typeName(dtype: KernelOperand['dtype']): string {
  const { class: kind, bits } = dtypeInfo(dtype);
  return typeNames[dtype] ?? `${{ float: 'f', int: 'i', uint: 'u' }[kind as 'float'] ?? kind}${String(bits)}`;
}

function describeLaunch(launch: Launch, title: string, places: ReadonlyMap<KernelTensor, CudaArgument>): CudaLaunch {
  const { kernel, grid, block, sharedBytes, cluster } = launch;
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}, kernel '${kernel}': ${message}`, {
      plugin: title,
      kernel,
    });
  };
  const three = <T>(given: T | readonly T[], one: T, what: string): [T, T, T] => {
    const list: readonly T[] = Array.isArray(given) ? (given as readonly T[]) : [given as T];
    if (list.length === 0 || list.length > 3) fail(`${what} has 1 to 3 extents, not ${String(list.length)}`);
    return [list[0]!, list[1] ?? one, list[2] ?? one];
  };
  const threads = three<number>(block, 1, 'block');
  const count = threads[0] * threads[1] * threads[2];
  if (!threads.every((n) => Number.isInteger(n) && n > 0) || count > 1024)
    fail(`a block has 1 to 1024 threads, not ${threads.join(' x ')}`);
  return {
    kernel,
    grid: three<Dim>(grid, 1, 'grid'),
    block: threads,
    ...(sharedBytes !== undefined && { sharedBytes }),
    ...(cluster && { cluster: three<number>(cluster, 1, 'cluster') }),
    arguments: launch.arguments.map((argument, i) => describeArgument(argument, i, places, fail)),
  };
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
  if ('terms' in argument) return { kind: 'dim', value: argument };
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
