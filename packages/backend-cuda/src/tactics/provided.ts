/** Kernels that plugins bring for an operator: each kernel of theirs is called by one of ours. */

import {
  type CudaArgument,
  type CudaLaunch,
  cudaKernelsFor,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  kernelProblem,
  type KernelVariant,
  type OperatorKernels,
  TensorwrightError,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { cxxType } from '../print/types.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { bytesOf, dtypeOf, memoryMicroseconds, refuseOperands } from './operands.js';
import { onlyItself, refuseLateSizes } from './operators/operator-tactic.js';
import { printEpilogue, refuseEpilogue } from './provided-epilogue.js';

export const provided: Tactic = {
  name: 'provided',
  refuses(group: GroupView): string | undefined {
    const all = group.anchor ? cudaKernelsFor(group.anchor.op) : [];
    if (all.length === 0) return 'no kernels from outside';
    const reason = refuseOperands(group) ?? refuseLateSizes(group);
    if (reason !== undefined) return reason;
    const reasons = all.map((kernels) => refuseKernels(kernels, group));
    return reasons.includes(undefined) ? undefined : reasons.join('; ');
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    return variantsOf(group).map(({ kernels, variant }) => ({
      variant: variantName(kernels, variant),
      parameters: { plugin: kernels.plugin, variant: variant.name },
      // What the map nodes read besides is read through any strides.
      inputs: group.node.inputs.map((_, i) => variant.inputs[group.anchorInputs.indexOf(i)] ?? 'strided'),
      outputs: variant.outputs,
      ...(kernels.aliases && {
        aliases: kernels.aliases.map((i) => (i === undefined ? undefined : group.anchorInputs[i])),
      }),
      stridedOutput: false,
      estimate: variant.estimate ?? memoryMicroseconds(bytesOf(group)),
      producer: kernels.producer,
      plugin: kernels.plugin,
    }));
  },
  async emit(group: GroupView, candidate, context: EmitContext): Promise<EmittedStep> {
    const { plugin, variant: name } = candidate.parameters;
    const found = variantsOf(group).find((v) => v.kernels.plugin === plugin && v.variant.name === name);
    if (!found)
      throw new TensorwrightError('ERR_PLUGIN', `plugin ${String(plugin)}: its kernels '${String(name)}' are gone`, {
        plugin,
      });
    try {
      return await emitKernels(group, found, context);
    } catch (error) {
      if (!TensorwrightError.is(error) || error.code !== 'ERR_COMPILATION') throw error;
      const details = { ...error.details, plugin };
      throw new TensorwrightError(error.code, `plugin ${String(plugin)}: ${error.message}`, details, { cause: error });
    }
  },
};

function refuseKernels(kernels: OperatorKernels, group: GroupView): string | undefined {
  const around = kernels.epilogue === true ? refuseEpilogue(group) : onlyItself(group);
  return around ?? kernels.refuses(kernelProblem(group.anchor!));
}

interface Offer {
  readonly kernels: OperatorKernels;
  readonly variant: KernelVariant;
}

function variantsOf(group: GroupView): Offer[] {
  const problem = kernelProblem(group.anchor!);
  return cudaKernelsFor(group.anchor!.op).flatMap((kernels) =>
    refuseKernels(kernels, group) === undefined
      ? kernels.variants(problem).map((variant) => ({ kernels, variant }))
      : [],
  );
}

/** 'acme::LeakyScale@1.256' */
function variantName({ plugin }: OperatorKernels, { name }: KernelVariant): string {
  return [plugin.replace(' ', '@'), name].filter((part) => part !== '').join('.');
}

/** Their kernels become functions that ours call, so that any parameters will do. */
function emitKernels(group: GroupView, { kernels, variant }: Offer, context: EmitContext): Promise<EmittedStep> {
  const { source, launches, workspaceBytes } = variant.kernels();
  const args = new Arguments();
  const hole = kernels.epilogue === true;
  const epilogue = hole ? printEpilogue(group, context, variant.outputs[0]!, args) : '';
  const callers = launches.map((launch, i) => printCaller(group, launch, i, args, hole));
  const text = `${epilogue}#pragma push_macro("__launch_bounds__")
#undef __launch_bounds__
#define __launch_bounds__(...)
namespace plugin {
${source.replace(/\b__global__\b/g, 'TW_DEVICE')}
}
#pragma pop_macro("__launch_bounds__")
${callers.join('\n')}`;
  return launchStep({
    text,
    arguments: args,
    outputs: group.outputs.length,
    launches: launches.map(({ grid, block, sharedBytes, cluster }, i) => ({
      function: callerName(i),
      grid,
      block,
      ...(sharedBytes !== undefined && { sharedBytes }),
      ...(cluster && { cluster }),
    })),
    ...(workspaceBytes !== undefined && { workspaceBytes }),
  });
}

function callerName(launch: number): string {
  return `launch${String(launch)}`;
}

function printCaller(group: GroupView, launch: CudaLaunch, position: number, args: Arguments, hole: boolean): string {
  const threads = launch.block.reduce((a, b) => a * b, 1);
  const values = launch.arguments.map((argument) =>
    hole && argument.kind === 'output' ? 'Epilogue{a}' : printArgument(group, argument, args),
  );
  return `
extern "C" __global__ void __launch_bounds__(${String(threads)}) ${callerName(position)}(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  plugin::${launch.kernel}(${values.join(', ')});
}`;
}

function printArgument(group: GroupView, argument: CudaArgument, args: Arguments): string {
  switch (argument.kind) {
    case 'input': {
      const at = group.anchorInputs[argument.index];
      if (at === undefined) return 'nullptr';
      return args.input(at, cxxType(dtypeOf(group.node.inputs[at])!));
    }
    case 'output':
      return args.output(argument.index, cxxType(dtypeOf(group.outputs[argument.index])!));
    case 'constant':
      return args.constant(argument.tensor, cxxType(argument.tensor.dtype));
    case 'dim':
      return args.dim(argument.value);
    case 'workspace':
      return args.workspace(argument.offset, 'void');
    case 'literal':
      return argument.text;
  }
}
