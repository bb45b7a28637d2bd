/** Convolutions by cuDNN, where this machine has it: its first choices race with our own kernels. */

import {
  type Candidate,
  constantOf,
  dimBounds,
  type EmitContext,
  type EmittedOperand,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  provablyEqual,
  provablyLessOrEqual,
  TensorwrightError,
} from '@tensorwright/core';
import type { CudnnConfiguration, CudnnConvolution } from '@tensorwright/native';
import { native } from '../native.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { alignmentOf, mostAlignment } from './alignment.js';
import { contraction } from './contraction.js';
import { geometryOf } from './contraction/conv-problem.js';
import { operandLayouts, refuseContraction } from './contraction/group.js';
import { tapsFirst } from './cudnn/filters.js';
import { convolved, type ConvolutionMaps, mapsOf } from './cudnn/maps.js';
import { isPossible, isTf32, likelyConvolution, placedConvolution } from './cudnn/problem.js';
import { isDense } from './dense-view.js';
import { dtypeOf } from './operands.js';
import { estimatesBehindOwn } from './own-estimate.js';

export const cudnn: Tactic = {
  name: 'cudnn',
  source: 'cudnn',
  refuses(group: GroupView): string | undefined {
    const convolution = convolutionOf(group);
    if (typeof convolution === 'string') return convolution;
    const known = configurationsOf(convolution);
    return typeof known === 'string' ? known : undefined;
  },
  async prepare(group: GroupView): Promise<void> {
    const convolution = convolutionOf(group);
    if (typeof convolution !== 'string') await askFor(convolution);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const maps = mapsOf(group)!;
    const known = configurationsOf(likelyConvolution(group, maps)) as readonly CudnnConfiguration[];
    const estimates = estimatesBehindOwn(group, known.length);
    return known.map(({ engine, knobs }, i) => ({
      parameters: { engine, knobs, version: version() },
      ...layoutsOf(group, maps),
      estimate: estimates[i]!,
    }));
  },
  async emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const maps = mapsOf(group)!;
    if (await takes(group, maps, candidate, context)) return describe(group, maps, candidate, context);
    // A slice, or the slot of a concat, may be more than the engine takes.
    const { inputs } = operandLayouts(group);
    const own = contraction.candidates(group).find((c) => c.inputs.every((access, i) => access === inputs[i]))!;
    return contraction.emit(group, { ...candidate, ...own }, context);
  },
};

/** What the library is asked, at likely extents; or why it is not. */
function convolutionOf(group: GroupView): CudnnConvolution | string {
  const reason = refuseContraction(group);
  if (reason !== undefined) return reason;
  if (group.anchor!.op !== 'conv') return 'not a convolution';
  const { x, kernel, pads } = geometryOf(group);
  const [image, filters] = group.anchor!.inputs.map((v) => dtypeOf(v));
  if (image !== filters || !convolved.has(image!)) return `not a convolution that cuDNN has: of ${image!}`;
  const result = dtypeOf(group.outputs[0])!;
  if (result !== image && result !== 'float32') return `not a convolution that cuDNN has: to ${result}`;
  if (kernel.length < 1 || kernel.length > 3) return 'not a convolution that cuDNN has: of so many axes';
  if (!pads.every((p) => provablyLessOrEqual(0, p))) return 'not a convolution that cuDNN has: pads may be negative';
  if (!x.slice(2).every((d) => dimBounds(d).min > 0)) return 'not a convolution that cuDNN has: images may be empty';
  const maps = mapsOf(group);
  if (!maps) return 'not maps that cuDNN computes along with a convolution';
  return likelyConvolution(group, maps);
}

const kernel = 'cudnn';
/** How many of the library's choices are offered. */
const choices = 8;

/** What steps of these kernels need; the plan says so. */
export function needsOfCudnn(kernels: ReadonlySet<string>): readonly string[] {
  return kernels.has(kernel) ? [`cudnn ${version().split('.')[0]!}`] : [];
}

function version(): string {
  const status = native().cuda.status();
  return (status.available ? status.cudnn.version : undefined) ?? '';
}

/** The library's answers for this process: it is asked again and again of the same convolutions. */
const answers = new Map<string, readonly CudnnConfiguration[] | string>();
const mostAnswers = 4096;
const asked = new Map<string, Promise<void>>();

/** Or why there are none. */
function configurationsOf(convolution: CudnnConvolution): readonly CudnnConfiguration[] | string {
  return (
    refuseLibrary(convolution) ??
    answers.get(JSON.stringify(convolution)) ??
    'not a convolution that cuDNN was asked of'
  );
}

function refuseLibrary(convolution: CudnnConvolution): string | undefined {
  const status = native().cuda.status();
  if (!status.available) return status.reason;
  if (status.cudnn.version === undefined) return status.cudnn.reason;
  return isPossible(convolution) ? undefined : 'no result at likely extents';
}

/** Off this thread: engines load code, and look through long lists. */
async function askFor(convolution: CudnnConvolution): Promise<void> {
  if (refuseLibrary(convolution) !== undefined) return;
  const key = JSON.stringify(convolution);
  if (answers.has(key)) return;
  let question = asked.get(key);
  if (!question) {
    question = ask(key, convolution).finally(() => asked.delete(key));
    asked.set(key, question);
  }
  return question;
}

async function ask(key: string, convolution: CudnnConvolution): Promise<void> {
  const keep = (answer: readonly CudnnConfiguration[] | string): void => {
    const [oldest] = answers.keys();
    if (answers.size >= mostAnswers) answers.delete(oldest!);
    answers.set(key, answer);
  };
  try {
    const found = await native().cuda.cudnnConfigurations(convolution, choices);
    keep(found.length > 0 ? found : 'no engine of cuDNN for the convolution');
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // That there is no memory just now says nothing of the convolution.
    if (isLasting(error)) keep(`not a convolution that cuDNN has: ${(error as Error).message}`);
  }
}

/** What the library says of itself or of a convolution; all else is a fault of ours. */
function isRefusal(error: unknown): boolean {
  return isLasting(error) || ['ERR_DEVICE', 'ERR_OUT_OF_MEMORY'].includes(codeOf(error));
}

/** The same whenever it is asked. */
function isLasting(error: unknown): boolean {
  return ['ERR_UNSUPPORTED', 'ERR_BACKEND_UNAVAILABLE'].includes(codeOf(error));
}

function codeOf(error: unknown): string {
  return (TensorwrightError.is(error) ? error.code : (error as { code?: string }).code) ?? '';
}

/** Filters that are known are brought into order here, others come so; engines add only images that lie like their result. */
function layoutsOf(
  group: GroupView,
  { sides }: ConvolutionMaps,
): Pick<CandidateOutline, 'inputs' | 'outputs' | 'stridedOutput'> {
  const layouts = operandLayouts(group);
  const w = group.anchorInputs[1]!;
  const isTurned = (i: number): boolean =>
    i === w ? constantOf(group.node.inputs[w]) === undefined : sides.some((s) => s.input === i && s.isWhole);
  return { ...layouts, inputs: layouts.inputs.map((access, i) => (isTurned(i) ? 'channelsLast' : access)) };
}

/** Whether the engine takes the operands as they lie: those that are dense it has been chosen for. */
async function takes(
  group: GroupView,
  maps: ConvolutionMaps,
  { parameters }: Candidate,
  context: EmitContext,
): Promise<boolean> {
  const output = context.outputView(0)!;
  // What has fewer axes is stretched over the result's last ones: which of them is the channels' depends on that.
  const stretched = ({ dims, strides }: MemoryView): Pick<MemoryView, 'dims' | 'strides'> => {
    const lead = new Array<number>(output.dims.length - dims.length).fill(1);
    return { dims: [...lead, ...dims], strides: [...lead, ...strides] };
  };
  const read = [group.anchorInputs[0]!, ...maps.sides.filter((s) => !s.isChannels).map((s) => s.input)];
  const views = [output, ...read.map((i) => context.view(i)!)];
  if (views.every((v) => isDense(stretched(v), true) && provablyEqual(v.offset, 0))) return true;
  const placed = placedConvolution(group, maps, (i) => context.view(i)!, output);
  if (!placed) return false;
  try {
    const { engine, knobs } = parameters as unknown as CudnnConfiguration;
    await native().cuda.cudnnPlan(placed, { engine, knobs });
    return true;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  }
}

/** native/src/cuda/convolution.cpp reads it. */
function describe(
  group: GroupView,
  { maps, sides, scalars }: ConvolutionMaps,
  { parameters }: Candidate,
  context: EmitContext,
): EmittedStep {
  const { engine, knobs, version: built } = parameters;
  const { pads, strides, dilations } = geometryOf(group);
  const [x, w] = group.anchorInputs as [number, number];
  const known = constantOf(group.node.inputs[w]);
  const alignment = (input: number): number =>
    alignmentOf(context.view(input)!.offset, dtypeOf(group.node.inputs[input])!);
  const filters: EmittedOperand = known ? { kind: 'constant', tensor: tapsFirst(known) } : { kind: 'input', index: w };
  const operands: EmittedOperand[] = [{ kind: 'dims', values: pads }, { kind: 'input', index: x }, filters];
  const first = operands.length;
  operands.push(
    ...sides.map(({ input, isChannels }) => ({ kind: 'input', index: input, broadcast: !isChannels }) as const),
  );
  const channels = sides.findIndex((s) => s.isChannels);
  return {
    kernel,
    attributes: {
      strides,
      dilations,
      tapsFirst: known !== undefined,
      tf32: isTf32(group),
      // Lists without elements have no type.
      ...(maps.length > 0 && { maps: maps.map((m) => m.name) }),
      lefts: maps.map((m) => m.left),
      rights: maps.map((m) => m.right ?? 0),
      scalars,
      bias: channels < 0 ? -1 : first + channels,
      alignments: [
        alignment(x),
        known ? mostAlignment : alignment(w),
        alignmentOf(context.outputView(0)!.offset, dtypeOf(group.outputs[0])!),
        ...sides.map((s) => alignment(s.input)),
      ],
      engine: engine!,
      knobs: knobs!,
      version: built!,
    },
    inputs: operands,
    outputs: [{ kind: 'output', index: 0 }],
  };
}
