/** A plugin's CUDA implementation, as the CUDA backend asks for it. */

import {
  type CudaArgument,
  type CudaKernels,
  type CudaLaunch,
  type Dim,
  dimSymbols,
  dtypeInfo,
  type KernelOperand,
  type KernelProblem,
  type KernelVariant,
  type Layout,
  type OperatorKernels,
  productOf,
  TensorwrightError,
} from '@tensorwright/core';
import { cudaKernelFile } from '@tensorwright/native';
import { describeLaunch } from './describe-launch.js';
import { isExtent } from './extent.js';
import { type FieldSchema, valuesOf } from './fields.js';
import { identityOf } from './launch-identity.js';
import { byName, nameOf } from './names.js';
import { callOwn } from './plugin-error.js';
import type {
  CallContext,
  CudaImplementation,
  Format,
  KernelTensor,
  Launch,
  LaunchContext,
} from './cuda-implementation.js';
import type { ByInput, ByOutput, Names } from './plugin.js';

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
      const reason = cuda.refuses && callOwn(title, 'cuda.refuses', () => cuda.refuses!(callOf(parts, problem).call));
      return reason === undefined ? undefined : `plugin ${title}: ${reason}`;
    },
    variants: (problem) => variantsOf(parts, problem),
  };
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
  const workspaceBytes = scratchOf(parts, context);
  const count = cuda.count && describeCount(parts, problem, workspaceBytes, context, places);
  return {
    source: cuda.source,
    ...(cuda.uses && { uses: libraryFiles(title, cuda.uses) }),
    launches,
    ...(count && { count }),
    ...(workspaceBytes !== undefined && { workspaceBytes }),
  };
}

function scratchOf<I extends Names, O extends Names, F extends FieldSchema>(
  { cuda, title }: Parts<I, O, F>,
  context: LaunchContext<I, O, F>,
): Dim | undefined {
  if (!cuda.workspaceBytes) return undefined;
  const bytes = callOwn(title, 'cuda.workspaceBytes', () => cuda.workspaceBytes!(context));
  if (isExtent(bytes)) return bytes;
  throw new TensorwrightError(
    'ERR_PLUGIN',
    `plugin ${title}: cuda.workspaceBytes gives ${String(bytes)}, which is no number of bytes`,
    { plugin: title },
  );
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
  const list = callOwn(title, what, call) as readonly Launch[] | undefined;
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}: ${what} ${message}`, { plugin: title });
  };
  if (!Array.isArray(list) || list.length === 0) return fail('gives no launch');
  const launches = list.map((launch: Launch) => describeLaunch(launch, title, places));
  // One that has nothing to do is left out; where all are, nobody writes the outputs.
  const isIdle = ({ grid }: CudaLaunch): boolean => grid.includes(0);
  const isEmpty = ({ dims }: KernelTensor): boolean => dims.includes(0);
  if (launches.every(isIdle) && ![...places.keys()].some(isEmpty))
    fail(`launches nothing: the grid of ${names(launches)} has no blocks, though no operand is empty`);
  return launches;
}

function names(launches: readonly CudaLaunch[]): string {
  return launches.map(({ kernel }) => `'${kernel}'`).join(' and ');
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

function kernelTensor({ dtype, dims }: KernelOperand): KernelTensor {
  return { dtype, dims, size: productOf(dims), type: typeName(dtype) };
}

const typeNames: Readonly<Record<string, string>> = { bool: 'b8', bfloat16: 'bf16' };

/** 'f32' for float32 … */
function typeName(dtype: KernelOperand['dtype']): string {
  const { class: kind, bits } = dtypeInfo(dtype);
  return typeNames[dtype] ?? `${{ float: 'f', int: 'i', uint: 'u' }[kind as 'float'] ?? kind}${String(bits)}`;
}
