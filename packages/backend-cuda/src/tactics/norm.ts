/** Layer, RMS, group and instance normalization: moments of rows, then scale and shift. */

import {
  ceilDivDims,
  constantOf,
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedStep,
  exactQuotient,
  type GroupView,
  mulDims,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { type Launch, launchStep } from '../launch/launch-step.js';
import { refuseScalars } from '../print/scalars.js';
import type { Tactic } from '../tactic.js';
import { inputOperand, outputOperand, printEpilogue, printLoads, printProblem } from './lane-problem.js';
import {
  clamp,
  enoughBlocks,
  enoughThreads,
  outerShape,
  powerOfTwo,
  registerShape,
  type RegisterShape,
  splitsFor,
} from './lane-shape.js';
import { broadcastStrides, laneSpace, type LaneOperand, type LaneSpace, printLoad, printStore } from './lanes.js';
import { refuseOperands, stridedCandidates, typicalExtent } from './operands.js';

const ops = new Set(['layerNorm', 'rmsNorm', 'groupNorm', 'instanceNorm']);

export const norm: Tactic = {
  name: 'norm',
  refuses(group: GroupView): string | undefined {
    const { anchor } = group;
    if (!anchor || !ops.has(anchor.op)) return 'no normalization';
    if (group.anchorInputs.includes(-1)) return 'a normalization reads operands';
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    if (valueOutput(group) === undefined) return 'its statistics alone are no result';
    if (anchor.op === 'groupNorm') {
      const channels = (anchor.inputs[0]!.type as TensorType).dims![1]!;
      if (exactQuotient(channels, anchor.attributes['numGroups'] as number) === undefined)
        return 'the channels of a group are not known at build time';
    }
    return refuseScalars(group.expressions());
  },
  candidates: (group: GroupView) => stridedCandidates(group),
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const { op, attributes, inputs } = group.anchor!;
    const epsilon = attributes['epsilon'] as number;
    const x = context.view(group.anchorInputs[0]!)!;
    const rows = rowsOf(group, x.dims);
    const value = valueOutput(group)!;
    const y = context.outputView(value)!;
    const main = inputOperand(group, group.anchorInputs[0]!, args, 'x', x, rows.toSpace(x.strides));
    const out = outputOperand(group, value, args, 'y', y, rows.toSpace(y.strides));
    const perChannel = op === 'groupNorm' || op === 'instanceNorm';
    const coefficient = (input: number, name: string): LaneOperand => {
      const index = group.anchorInputs[input]!;
      const view = context.view(index)!;
      const strides = perChannel
        ? x.dims.map((_, axis) => (axis === 1 ? view.strides[0]! : 0))
        : broadcastStrides(view, x.dims);
      return inputOperand(group, index, args, name, view, rows.toSpace(strides));
    };
    const scale = coefficient(1, 'scale');
    const bias = inputs[2] ? coefficient(2, 'bias') : undefined;
    const epilogue = printEpilogue(group, context, args, rows.toSpace, 'value', (o) => `${o.name}[v]`, value);
    const coefficients = [{ operand: scale, input: 1 }, ...(bias ? [{ operand: bias, input: 2 }] : [])].map(
      ({ operand, input }) => ({
        operand,
        isConstant: constantOf(group.node.inputs[group.anchorInputs[input]!]) !== undefined,
      }),
    );
    const early = coefficients.filter((c) => c.isConstant).map((c) => c.operand);
    const late = [...coefficients.filter((c) => !c.isConstant).map((c) => c.operand), ...epilogue.operands];
    const read = [...early, ...late];
    const statistics = statisticOutputs(group).map(({ output, part }) => ({
      operand: outputOperand(
        group,
        output,
        args,
        part,
        context.outputView(output)!,
        rows.toSpace(context.outputView(output)!.strides),
      ),
      part,
    }));
    const operands = [main, out, ...read, ...statistics.map((s) => s.operand)];
    const space = laneSpace(rows.extents, rows.isColumn, main, operands);
    const double = main.type === 'f64';
    const shape = shapeOf(space, op === 'rmsNorm', double);
    const shifted = `values[v] * convert<C>(scale[v])${bias ? ' + convert<C>(bias[v])' : ''}`;
    const problem = printProblem(space, args, operands, [
      `  using X = ${main.type};\n  using C = ${double ? 'f64' : 'f32'};\n`,
      `  TW_DEVICE C epsilon() const { return C(${String(epsilon)}); }\n`,
      `  TW_DEVICE Index splits() const { return ${String(shape.splits)}; }\n`,
      `  TW_DEVICE Index chunk() const { return ${args.dim(chunkOf(space, shape))}; }\n`,
      shape.splits > 1
        ? `  template <typename Acc>\n  TW_DEVICE Acc* partial() const { return reinterpret_cast<Acc*>(${args.workspace(0, 'u8')}); }\n`
        : '',
      printLoad(space, main, 'load'),
      ...printLoads(space, read),
      printSides('Early', 'early', early),
      printSides('Late', 'late', late),
      '  TW_DEVICE void store(Index row, Index column, const Vec<C, V>& values, [[maybe_unused]] const Early& early, [[maybe_unused]] const Late& late) const {\n',
      ...early.map((o) => `    const auto& ${o.name} = early.${o.name};\n`),
      ...late.map((o) => `    const auto& ${o.name} = late.${o.name};\n`),
      printStore(space, out, `      const C value = ${shifted};\n${epilogue.statements}`, epilogue.result),
      '  }\n',
      '  TW_DEVICE void statistics(Index row, C mean, C inverse) const {\n',
      ...statistics.map(
        ({ operand: o, part }) =>
          `    ${o.pointer}[${o.name}_row(row)] = convert<${o.type}>(${part === 'mean_out' ? 'mean' : 'inverse'});\n`,
      ),
      '  }\n',
    ]);
    return launchStep({
      uses: ['reduce', 'norm'],
      text: problem + shape.kernels.map((k) => printKernel(k, shape.block)).join(''),
      arguments: args,
      launches: shape.kernels.map(({ name }): Launch => ({
        function: name,
        grid: [ceilDivDims(space.rows, shape.rowsOfBlock), shape.splits, 1],
        block: [shape.block, 1, 1],
      })),
      ...(shape.splits > 1 && { workspaceBytes: mulDims(space.rows, shape.splits * 3 * (double ? 8 : 4)) }),
      outputs: group.outputs.length,
    });
  },
};

/** What vectors of operands a result needs, and the function that loads them. */
function printSides(type: string, name: string, operands: readonly LaneOperand[]): string {
  return `  struct ${type} {
${operands.map((o) => `    Vec<${o.type}, V> ${o.name};\n`).join('')}  };
  TW_DEVICE ${type} ${name}([[maybe_unused]] Index row, [[maybe_unused]] Index column) const {
    return {${operands.map((o) => `${o.name}_load(row, column)`).join(', ')}};
  }
`;
}

/** The group's output that holds normalized values; the others are statistics as they are. */
function valueOutput(group: GroupView): number | undefined {
  const taken = new Set(statisticOutputs(group).map((s) => s.output));
  const others = group.outputs.map((_, i) => i).filter((i) => !taken.has(i));
  return others.length === 1 ? others[0] : undefined;
}

function statisticOutputs(group: GroupView): { output: number; part: 'mean_out' | 'inverse_out' }[] {
  const first = group.node.inputs.length;
  return group.expressions().flatMap((e, output) => {
    if (e.op !== 'arg' || e.index <= first) return [];
    return [{ output, part: e.index === first + 1 ? ('mean_out' as const) : ('inverse_out' as const) }];
  });
}

interface Rows {
  readonly extents: readonly Dim[];
  readonly isColumn: (axis: number) => boolean;
  readonly toSpace: (strides: readonly Dim[]) => readonly Dim[];
}

/** What is normalized together: trailing axes, or a group of channels, whose axis counts as two. */
function rowsOf(group: GroupView, dims: readonly Dim[]): Rows {
  const { op, attributes } = group.anchor!;
  if (op === 'layerNorm' || op === 'rmsNorm') {
    const axis = ((attributes['axis'] as number) + dims.length) % dims.length;
    return { extents: dims, isColumn: (a) => a >= axis, toSpace: (strides) => strides };
  }
  const channels = dims[1]!;
  const inGroup = op === 'instanceNorm' ? 1 : exactQuotient(channels, attributes['numGroups'] as number)!;
  const groups = op === 'instanceNorm' ? channels : (attributes['numGroups'] as number);
  return {
    extents: [dims[0]!, groups, inGroup, ...dims.slice(2)],
    isColumn: (a) => a >= 2,
    toSpace: ([batch, channel, ...area]) => [batch!, mulDims(channel!, inGroup), channel!, ...area],
  };
}

/**
 * Rows of a warp or a part of one, which needs no barrier, each thread with a few vectors; undefined where they are too
 * long. Few rows take all of a warp; of many, threads that would have nothing to do are what to save.
 */
function warpShape(space: LaneSpace, elementsOfThread: number): RegisterShape | undefined {
  const packs = Math.max(1, Math.ceil(dimBounds(space.columns).max / space.width));
  const rows = Math.max(1, typicalExtent(space.rows));
  const vectorsOf = (threads: number): number => Math.ceil(packs / threads);
  const most = Math.max(1, Math.floor(elementsOfThread / space.width));
  const fitting = [32, 16, 8, 4, 2, 1].filter((t) => vectorsOf(t) <= most);
  if (fitting.length === 0) return undefined;
  const many = rows * 32 > 4 * enoughThreads;
  const usual = fitting.filter((t) => vectorsOf(t) <= (many ? 4 : 1));
  const idle = (threads: number): number => threads * vectorsOf(threads) - packs;
  const [threads] = (usual.length > 0 ? usual : fitting.slice(0, 1)).sort((a, b) =>
    many ? idle(a) - idle(b) || b - a : a - b,
  ) as [number];
  const block = clamp(powerOfTwo((rows * threads) / enoughBlocks), 32, many ? 256 : 128);
  return { block, threads, vectors: vectorsOf(threads) };
}

interface Shape {
  readonly kernels: readonly { readonly name: string; readonly call: string }[];
  readonly block: number;
  readonly rowsOfBlock: number;
  readonly splits: number;
  /** Columns of a split are a multiple of this. */
  readonly step: number;
}

function shapeOf(space: LaneSpace, rms: boolean, double: boolean): Shape {
  const rows = Math.max(1, typicalExtent(space.rows));
  const columns = typicalExtent(space.columns);
  if (space.along === 'rows') {
    const { tx, ty, rowsOfBlock } = outerShape(space, double ? 24 : 12);
    const splits = splitsFor(Math.ceil(rows / rowsOfBlock), columns / (ty * 8));
    const call = (part: number): string => `norm_outer<${[rms, tx, ty, part].join(', ')}>`;
    const kernels =
      splits === 1
        ? [{ name: 'norm_rows', call: call(0) }]
        : [
            { name: 'norm_first', call: call(1) },
            { name: 'norm_second', call: call(2) },
          ];
    return { kernels, block: tx * ty, rowsOfBlock, splits, step: ty };
  }
  const held = warpShape(space, double ? 16 : 32) ?? registerShape(space, double ? 12 : 24);
  // Few rows that are long go to all multiprocessors, at the cost of a second launch.
  const longRow = 64 * 1024;
  if (held && !(columns >= longRow / 4 && rows < enoughBlocks / 8)) {
    const { block, threads, vectors } = held;
    const call = `norm_registers<${[rms, block, threads, vectors].join(', ')}>`;
    return { kernels: [{ name: 'norm_rows', call }], block, rowsOfBlock: block / threads, splits: 1, step: 1 };
  }
  const block = 512;
  const step = block * space.width;
  const splits = splitsFor(rows, columns / (step * 2));
  if (splits === 1)
    return {
      kernels: [{ name: 'norm_rows', call: `norm_twice<${String(rms)}, ${String(block)}>` }],
      block,
      rowsOfBlock: 1,
      splits,
      step,
    };
  const call = (what: string): string => `norm_split_${what}<${String(rms)}, ${String(block)}>`;
  return {
    kernels: [
      { name: 'norm_first', call: call('moments') },
      { name: 'norm_second', call: call('apply') },
    ],
    block,
    rowsOfBlock: 1,
    splits,
    step,
  };
}

function chunkOf(space: LaneSpace, { splits, step }: Shape): Dim {
  return splits === 1 ? space.columns : mulDims(ceilDivDims(ceilDivDims(space.columns, step), splits), step);
}

function printKernel({ name, call }: { readonly name: string; readonly call: string }, block: number): string {
  return `
extern "C" __global__ void __launch_bounds__(${String(block)}) ${name}(const __grid_constant__ Arguments a) {
  ${call}(Problem{a});
}
`;
}
