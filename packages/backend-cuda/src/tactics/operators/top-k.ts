/** topK: rows that are short are picked from or sorted whole; of longer ones the first are selected and sorted. */

import {
  addDims,
  type Candidate,
  ceilDivDims,
  type Dim,
  dimBounds,
  dtypeInfo,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  mulDims,
  type Node,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { index, indexType } from '../../print/views.js';
import type { CandidateOutline, Tactic } from '../../tactic.js';
import { bytesOf, memoryMicroseconds } from '../operands.js';
import { countedShape } from './counted-shape.js';
import { AnchorOperands, coordinates, type IndexType, names, type TextOperand } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

/** Rows up to this size are taken whole: a warp picks up to `mostPicked` one after the other, or a block sorts them. */
const mostWhole = 1024;
const mostPicked = 32;
/** Rows of which each may have many blocks: each needs scratch memory. */
const mostGridRows = 1024;
/** Elements that a block of many to a row looks at. */
const tile = 4096;
/** Bytes of keys that a block sorts in shared memory. */
const mostShared = 32768;
/** As top_k.cuh has them: elements of the edge, bytes of RowCounters. */
const edgeLimit = 16384;
const counterBytes = (4 + 2 * 2048) * 4;

const outline: Tactic = operatorTactic({
  name: 'topK',
  operators: ['topK'],
  counts: true,
  emit: (group, context) => emitWith(group, context, 'block'),
});

export const topK: Tactic = {
  ...outline,
  candidates(group: GroupView): readonly CandidateOutline[] {
    return outline.candidates(group).flatMap((candidate) =>
      waysOf(group).map((way) => ({
        ...candidate,
        variant: way,
        parameters: { ...candidate.parameters, way },
        estimate: estimate(group, way),
      })),
    );
  },
  emit: (group: GroupView, candidate: Candidate, context: EmitContext) =>
    emitWith(group, context, candidate.parameters['way'] as Way),
};

type Way = 'pick' | 'sort' | 'block' | 'grid';

interface Extents {
  /** Elements of a row, at most. */
  readonly longest: number;
  readonly rows: number;
  readonly k: number;
}

function extentsOf(group: GroupView): Extents {
  const [x, values] = [group.anchor!.inputs[0]!.type, group.anchor!.outputs[0]!.type];
  if (x.kind !== 'tensor' || values.kind !== 'tensor') throw new TypeError('topK of a tensor');
  const axis = axisOf(group, x.dims!.length);
  const rows = x.dims!.filter((_, i) => i !== axis);
  return {
    longest: dimBounds(x.dims![axis]!).max,
    rows: dimBounds(productOf(rows)).max,
    k: dimBounds(values.dims![axis]!).max,
  };
}

function axisOf(group: GroupView, rank: number): number {
  return ((group.anchor!.attributes['axis'] as number) + rank) % rank;
}

/** Best guess first. */
function waysOf(group: GroupView): readonly Way[] {
  const { longest, rows, k } = extentsOf(group);
  if (longest <= mostWhole) return [k <= mostPicked ? 'pick' : 'sort'];
  return rows <= mostGridRows ? ['block', 'grid'] : ['block'];
}

/** A block reads its row about four times, by itself; many read it twice, in launches of their own. */
function estimate(group: GroupView, way: Way): number {
  const moved = memoryMicroseconds(bytesOf(group));
  if (way === 'grid') return 15 + 2 * moved;
  if (way !== 'block') return moved;
  const bytesPerMicrosecond = 60e3;
  return 4 * Math.max(moved, (4 * extentsOf(group).longest) / bytesPerMicrosecond);
}

function emitWith(group: GroupView, context: EmitContext, way: Way): Promise<EmittedStep> {
  return countedShape({ group, context, shape: printShape, write: () => emitTopK(group, context, way) });
}

/** As the operand, but for the axis. */
function printShape(operands: AnchorOperands, args: Arguments, { attributes }: Node): string {
  const { dims } = operands.input(0).view;
  const axis = ((attributes['axis'] as number) + dims.length) % dims.length;
  const extents = dims.map((d, k) => `  dims[${String(k)}] = ${args.dim(d)};`);
  return `${extents.join('\n')}
  const i64 k = convert<i64>(*${operands.input(1).pointer});
  valid = k <= dims[${String(axis)}];
  dims[${String(axis)}] = k;`;
}

/** What the kernels of all ways are printed from. */
class Problem {
  readonly args = new Arguments();
  readonly x: TextOperand;
  readonly values: TextOperand;
  readonly indices: TextOperand;
  readonly axis: number;
  /** Dims of x, with 1 for the axis. */
  readonly rows: readonly Dim[];
  readonly n: Dim;
  readonly k: Dim;
  readonly keyBytes: number;
  /** Type of the keys. */
  readonly key: string;
  readonly number: IndexType;
  readonly #largest: boolean;

  constructor(group: GroupView, context: EmitContext) {
    const operands = new AnchorOperands(group, context, this.args);
    this.x = operands.input(0);
    this.values = operands.output(0);
    this.indices = operands.output(1);
    const { dims } = this.x.view;
    this.axis = axisOf(group, dims.length);
    this.rows = dims.map((d, i) => (i === this.axis ? 1 : d));
    this.n = dims[this.axis]!;
    this.k = this.values.view.dims[this.axis]!;
    const wide = dtypeInfo(this.x.dtype).bits > 32;
    this.keyBytes = wide ? 16 : 8;
    this.key = wide ? 'Ranked' : 'u64';
    this.number = indexType(this.x.view, this.values.view, this.indices.view);
    this.#largest = group.anchor!.attributes['largest'] === true;
  }

  /** The row and where its results go, given the C++ of its number. */
  row(number: string, threads: number, width: number): string {
    const { args, x, values, indices, rows } = this;
    const c = names('c', rows.length).with(this.axis, '0');
    const start = ({ pointer, view }: TextOperand): string => `${pointer} + (${index(view, c, args)})`;
    const stride = ({ view }: TextOperand): string => args.dim(view.strides[this.axis]!);
    const way = [threads, width, this.#largest, x.type].join(', ');
    return `  const ${this.number} row = ${number};
${coordinates(rows, 'rows', this.number, args, { linear: 'row' })}
  const Row<${way}> elements{${start(x)}, ${stride(x)}, u32(${args.dim(this.n)})};
  const Best<${values.type}, ${indices.type}> best{${start(values)}, ${stride(values)}, ${start(indices)}, ${stride(indices)}, u32(${args.dim(this.k)})};`;
  }

  /** Elements that are read at once. */
  width(): number {
    if (this.x.view.strides[this.axis] !== 1) return 1;
    let width = 128 / dtypeInfo(this.x.dtype).bits;
    while (typeof this.n !== 'number' || this.n % width !== 0) {
      if (width === 1) break;
      width /= 2;
    }
    return width;
  }
}

function kernel(name: string, threads: number, body: string): string {
  return `
extern "C" __global__ void __launch_bounds__(${String(threads)}) ${name}(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
${body}
}
`;
}

function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(n, 2)));
}

function emitTopK(group: GroupView, context: EmitContext, way: Way): Promise<EmittedStep> {
  const problem = new Problem(group, context);
  const printed = way === 'pick' ? pick(problem) : way === 'sort' ? sort(problem) : select(problem, way === 'grid');
  return launchStep({ uses: ['sort', 'selection', 'top_k'], arguments: problem.args, outputs: 2, ...printed });
}

interface Printed {
  readonly text: string;
  readonly launches: readonly Launch[];
  readonly workspaceBytes?: Dim;
}

/** A warp to a row. */
function pick(problem: Problem): Printed {
  const threads = 128;
  const { args, number } = problem;
  const rows = productOf(problem.rows);
  const each = Math.ceil(Math.max(dimBounds(problem.n).max, 1) / 32);
  const own = `${number}(blockIdx.x) * ${String(threads / 32)} + warp_index()`;
  const body = `  if (${own} >= ${args.dim(rows)}) return;
${problem.row(own, 32, 1)}
  pick_best<${String(each)}>(elements, best);`;
  return {
    text: kernel('pick_rows', threads, body),
    launches: [{ function: 'pick_rows', grid: [ceilDivDims(rows, threads / 32), 1, 1], block: [threads, 1, 1] }],
  };
}

function sort(problem: Problem): Printed {
  const { args, number, key } = problem;
  const rows = productOf(problem.rows);
  const padded = powerOfTwo(dimBounds(problem.n).max);
  const group = Math.max(32, padded / 2);
  const threads = Math.max(128, group);
  const groups = threads / group;
  const body = `  __shared__ ${key} keys[${String(groups * padded)}];
  const u32 group = threadIdx.x / ${String(group)}, thread = threadIdx.x % ${String(group)};
  const ${number} own = ${number}(blockIdx.x) * ${String(groups)} + group;
  const bool stored = own < ${args.dim(rows)};
${problem.row('stored ? own : 0', group, 1)}
  sort_best<${String(group)}>(keys + group * ${String(padded)}, elements, stored, thread, best);`;
  return {
    text: kernel('sort_rows', threads, body),
    launches: [{ function: 'sort_rows', grid: [ceilDivDims(rows, groups), 1, 1], block: [threads, 1, 1] }],
  };
}

function select(problem: Problem, grid: boolean): Printed {
  const { args, number, key, keyBytes, n, k } = problem;
  const rows = productOf(problem.rows);
  const row = `${number}(blockIdx.x)`;
  const width = problem.width();
  const most = powerOfTwo(dimBounds(k).max);
  const shared = most * keyBytes <= mostShared;
  // Fewer than twice the elements make the next power of two.
  const slots = mulDims(k, 2);
  const listBytes = mulDims(rows, mulDims(slots, keyBytes));
  const list = (offset: Dim, length: Dim): string =>
    `reinterpret_cast<${key}*>(${args.workspace(offset, 'u64')}) + i64(row) * ${args.dim(length)}`;
  if (!grid) {
    const threads = dimBounds(n).max <= 8192 ? 256 : 1024;
    const keys = shared ? `__shared__ ${key} keys[${String(most)}]` : `${key}* const keys = ${list(0, slots)}`;
    const body = `${problem.row(row, threads, width)}
  ${keys};
  select_best<${String(threads)}>(keys, elements, best);`;
    return {
      text: kernel('select_rows', threads, body),
      launches: [{ function: 'select_rows', grid: [rows, 1, 1], block: [threads, 1, 1] }],
      ...(!shared && { workspaceBytes: listBytes }),
    };
  }
  const edgeBytes = mulDims(rows, edgeLimit * keyBytes);
  const allCounters = mulDims(rows, counterBytes);
  const counters = `reinterpret_cast<RowCounters*>(${args.workspace(edgeBytes, 'u32')})[row]`;
  const chosen = list(addDims(edgeBytes, allCounters), slots);
  const [threads, last] = [256, 1024];
  const part = (name: string, call: string): string =>
    kernel(
      name,
      threads,
      `${problem.row(row, threads, width)}
  const u32 begin = blockIdx.y * ${String(tile)}, end = min(begin + ${String(tile)}, elements.size);
  RowCounters& counters = ${counters};
  ${call}`,
    );
  const words = args.dim(ceilDivDims(allCounters, 4));
  const text = [
    kernel(
      'reset_counters',
      last,
      `  const i64 i = i64(blockIdx.x) * ${String(last)} + threadIdx.x;
  if (i < ${words}) ${args.workspace(edgeBytes, 'u32')}[i] = 0;`,
    ),
    part('count_first', 'count_leading(counters, elements, begin, end);'),
    part('count_second', 'count_following(counters, elements, best.found(elements.size), begin, end);'),
    part(
      'collect',
      `collect_best(counters, ${chosen}, ${list(0, edgeLimit)}, elements, best.found(elements.size), begin, end);`,
    ),
    kernel(
      'finish',
      last,
      `${problem.row(row, last, width)}
  ${key}* const chosen = ${chosen};
  ${shared ? `__shared__ ${key} keys[${String(most)}]` : `${key}* const keys = chosen`};
  finish_best<${String(last)}>(${counters}, chosen, ${list(0, edgeLimit)}, keys, elements, best);`,
    ),
  ].join('');
  const tiles: Launch['grid'] = [rows, ceilDivDims(n, tile), 1];
  return {
    text,
    launches: [
      { function: 'reset_counters', grid: [ceilDivDims(allCounters, 4 * last), 1, 1], block: [last, 1, 1] },
      { function: 'count_first', grid: tiles, block: [threads, 1, 1] },
      { function: 'count_second', grid: tiles, block: [threads, 1, 1] },
      { function: 'collect', grid: tiles, block: [threads, 1, 1] },
      { function: 'finish', grid: [rows, 1, 1], block: [last, 1, 1] },
    ],
    workspaceBytes: addDims(addDims(edgeBytes, allCounters), listBytes),
  };
}
