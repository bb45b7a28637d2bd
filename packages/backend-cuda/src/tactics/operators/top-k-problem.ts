/** topK as its kernels are printed from it. */

import {
  addDims,
  type Dim,
  dimBounds,
  dtypeInfo,
  type EmitContext,
  type GroupView,
  mulDims,
  productOf,
} from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Launch } from '../../launch/launch-step.js';
import { index, indexType } from '../../print/views.js';
import { powerOfTwo } from '../lane-shape.js';
import { AnchorOperands, coordinates, type IndexType, names, type TextOperand } from './element-kernel.js';

/** Bytes of keys that a block sorts in shared memory. */
const mostShared = 32768;

export function axisOf(group: GroupView, rank: number): number {
  return ((group.anchor!.attributes['axis'] as number) + rank) % rank;
}

export class TopKProblem {
  readonly args: Arguments = new Arguments();
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

  /** C++ that declares keys of a row to sort: in shared memory, or else in a list that is given. */
  sortedKeys(list: string): string {
    const { key } = this;
    return this.#isShared() ? `__shared__ ${key} keys[${String(this.#capacity())}]` : `${key}* const keys = ${list}`;
  }

  /** Bytes of the lists that are needed for that, with room for the next power of two. */
  sortedBytes(): Dim {
    return this.#isShared() ? 0 : mulDims(productOf(this.rows), mulDims(this.slots(), this.keyBytes));
  }

  /** Fewer than twice the elements make the next power of two, which is at least two. */
  slots(): Dim {
    return addDims(mulDims(this.k, 2), 2);
  }

  /** Keys of shared memory that sort as many elements as are wanted. */
  #capacity(): number {
    return powerOfTwo(Math.max(dimBounds(this.k).max, 2));
  }

  #isShared(): boolean {
    return this.#capacity() * this.keyBytes <= mostShared;
  }

  /** C++ of a row's part of a list in scratch memory. */
  list(offset: Dim, length: Dim): string {
    return `reinterpret_cast<${this.key}*>(${this.args.workspace(offset, 'u64')}) + i64(row) * ${this.args.dim(length)}`;
  }
}

export interface Printed {
  readonly text: string;
  readonly launches: readonly Launch[];
  readonly workspaceBytes?: Dim;
}

export function kernel(name: string, threads: number, body: string): string {
  return `
extern "C" __global__ void __launch_bounds__(${String(threads)}) ${name}(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
${body}
}
`;
}
