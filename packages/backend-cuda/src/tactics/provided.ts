/** Kernels that plugins bring for an operator: each kernel of theirs is called by one of ours. */

import {
  addDims,
  type CudaArgument,
  type CudaKernels,
  type CudaLaunch,
  cudaKernelsFor,
  type Dim,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  kernelProblem,
  type KernelVariant,
  operatorOf,
  type OperatorKernels,
  type ScratchMemory,
  TensorwrightError,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { countedStep, extentsMemory } from '../launch/counted-step.js';
import { launchStep, type LaunchStep } from '../launch/launch-step.js';
import { cxxType } from '../print/types.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { bytesOf, dtypeOf, memoryMicroseconds, refuseOperands } from './operands.js';
import { onlyItself, ownExtents, refuseLateSizes, refuseMixedSizes } from './operators/operator-tactic.js';
import { printEpilogue, refuseEpilogue } from './provided-epilogue.js';

export const provided: Tactic = {
  name: 'provided',
  refuses(group: GroupView): string | undefined {
    const all = group.anchor ? cudaKernelsFor(group.anchor.op) : [];
    if (all.length === 0) return 'no kernels from outside';
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    const reasons = all.map((kernels) => refuseKernels(kernels, group));
    return reasons.includes(undefined) ? undefined : reasons.join('; ');
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const offers = variantsOf(group).map((offer) => ({ ...offer, identity: offer.variant.identity?.() }));
    return withoutTwins(offers).map(({ kernels, variant, identity }) => ({
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
      producer: [kernels.producer, ...(identity === undefined ? [] : [identity])].join(' '),
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
      return signed(await emitKernels(group, found, context), found.kernels.plugin, group.anchor!.op);
    } catch (error) {
      if (!TensorwrightError.is(error) || error.code !== 'ERR_COMPILATION') throw error;
      const details = { ...error.details, plugin };
      throw new TensorwrightError(error.code, `plugin ${String(plugin)}: ${error.message}`, details, { cause: error });
    }
  },
};

/** Says whose code the steps are. */
function signed(step: EmittedStep, plugin: string, operator: string): EmittedStep {
  const pluginOutputs = operatorOf(operator).outputs ?? [];
  return {
    ...step,
    attributes: { ...step.attributes, plugin, pluginOutputs },
    ...(step.before && {
      before: step.before.map((s) => (s.kernel === 'launch' ? { ...s, attributes: { ...s.attributes, plugin } } : s)),
    }),
  };
}

function refuseKernels(kernels: OperatorKernels, group: GroupView): string | undefined {
  const around = kernels.epilogue === true ? refuseEpilogue(group) : onlyItself(group);
  const late = kernels.counts === true ? refuseMixedSizes(group) : refuseLateSizes(group);
  return around ?? late ?? kernels.refuses(kernelProblem(group.anchor!));
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

interface Identified extends Offer {
  readonly identity: string | undefined;
}

/** Without variants that launch the same as one before them: they would be timed, and verified, against themselves. */
function withoutTwins(offers: readonly Identified[]): readonly Identified[] {
  const keyOf = ({ kernels, variant, identity }: Identified): string =>
    JSON.stringify([kernels.producer, identity ?? variant.name, variant.inputs, variant.outputs]);
  const seen = new Set<string>();
  return offers.filter((offer) => !seen.has(keyOf(offer)) && seen.add(keyOf(offer)));
}

/** 'acme::LeakyScale@1.256' */
function variantName({ plugin }: OperatorKernels, { name }: KernelVariant): string {
  return [plugin.replace(' ', '@'), name].filter((part) => part !== '').join('.');
}

async function emitKernels(group: GroupView, { kernels, variant }: Offer, context: EmitContext): Promise<EmittedStep> {
  const { launches, count, workspaceBytes, ...text } = variant.kernels();
  const args = new Arguments();
  const hole = kernels.epilogue === true;
  const epilogue = hole ? printEpilogue(group, context, variant.outputs[0]!, args) : '';
  if (!count) {
    const workspace = (offset: Dim): string => args.workspace(offset, 'void');
    return launchStep({
      ...printLaunches(group, text, launches, { args, hole, workspace, extents: 'nullptr' }, epilogue),
      outputs: group.outputs.length,
      ...(workspaceBytes !== undefined && { workspaceBytes }),
    });
  }
  const extents = ownExtents(group);
  const found = extentsMemory(extents);
  // Both parts work in the same memory. One byte more, so that there always is some.
  const scratch: ScratchMemory = { dtype: 'uint8', dims: [addDims(workspaceBytes ?? 0, 1)] };
  const placesOf = (to: Arguments): Places => ({
    args: to,
    hole,
    workspace: (offset) => `static_cast<void*>(${to.scratch(scratch, 'u8')} + ${to.dim(offset)})`,
    extents: to.scratch(found, 'i64'),
  });
  return countedStep({
    group,
    context,
    extents,
    // Without extents of its own, the plugin writes nothing that could be read.
    ...(extents.length > 0 && { extentsMemory: found }),
    count: { ...printLaunches(group, text, count, placesOf(new Arguments()), ''), writes: [scratch, found] },
    write: launchStep({
      ...printLaunches(group, text, launches, placesOf(args), epilogue),
      outputs: group.outputs.length,
    }),
  });
}

/** What their arguments are in our text. */
interface Places {
  readonly args: Arguments;
  /** Whether outputs are what the epilogue stores to. */
  readonly hole: boolean;
  readonly workspace: (offset: Dim) => string;
  readonly extents: string;
}

/** The callers have their own. */
const launchBounds = /\b__launch_bounds__\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)/g;

/** Their kernels become functions that ours call, so that any parameters will do. */
function printLaunches(
  group: GroupView,
  { source, uses = [] }: Pick<CudaKernels, 'source' | 'uses'>,
  launches: readonly CudaLaunch[],
  places: Places,
  epilogue: string,
): Pick<LaunchStep, 'uses' | 'text' | 'arguments' | 'launches'> {
  const callers = launches.map((launch, i) => printCaller(group, launch, i, places));
  const text = `${epilogue}namespace plugin {
${source.replace(/\b__global__\b/g, 'TW_DEVICE').replace(launchBounds, '')}
}
${callers.join('\n')}`;
  return {
    uses,
    text,
    arguments: places.args,
    launches: launches.map(({ grid, block, sharedBytes, cluster }, i) => ({
      function: callerName(i),
      grid,
      block,
      ...(sharedBytes !== undefined && { sharedBytes }),
      ...(cluster && { cluster }),
    })),
  };
}

function callerName(launch: number): string {
  return `launch${String(launch)}`;
}

function printCaller(group: GroupView, launch: CudaLaunch, position: number, places: Places): string {
  const threads = launch.block.reduce((a, b) => a * b, 1);
  const values = launch.arguments.map((argument) =>
    places.hole && argument.kind === 'output' ? 'Epilogue{a}' : printArgument(group, argument, places),
  );
  return `
extern "C" __global__ void __launch_bounds__(${String(threads)}) ${callerName(position)}(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  plugin::${launch.kernel}(${values.join(', ')});
}`;
}

function printArgument(group: GroupView, argument: CudaArgument, { args, workspace, extents }: Places): string {
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
      return workspace(argument.offset);
    case 'extents':
      return extents;
    case 'literal':
      return argument.text;
  }
}
