/** scatterElements and scatterND as kernels are printed from them: operands, and where updates go. */

import { type Dim, dimBounds, type EmitContext, type EmittedStep, type GroupView, productOf } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import {
  AnchorOperands,
  coordinates,
  type ElementKernel,
  elementKernel,
  type IndexType,
  names,
  type TextOperand,
} from './element-kernel.js';

export type Reduction = 'none' | 'add' | 'mul' | 'max' | 'min';

export function reductionOf(group: GroupView): Reduction {
  return group.anchor!.attributes['reduction'] as Reduction;
}

export class ScatterProblem {
  readonly args: Arguments = new Arguments();
  readonly x: TextOperand;
  readonly indices: TextOperand;
  readonly updates: TextOperand;
  readonly y: TextOperand;
  readonly number: IndexType;
  readonly reduction: Reduction;
  /** Along which indices name an element; undefined where tuples of them name whole slices. */
  readonly axis: number | undefined;

  constructor(group: GroupView, context: EmitContext) {
    const operands = new AnchorOperands(group, context, this.args);
    this.x = operands.input(0);
    this.indices = operands.input(1);
    this.updates = operands.input(2);
    this.y = operands.output();
    this.number = indexType(this.x.view, this.indices.view, this.updates.view, this.y.view);
    this.reduction = reductionOf(group);
    const { op, attributes } = group.anchor!;
    const rank = this.x.view.dims.length;
    this.axis = op === 'scatterND' ? undefined : ((attributes['axis'] as number) + rank) % rank;
  }

  get dims(): readonly Dim[] {
    return this.x.view.dims;
  }

  /** Extents of the updates without those of the slices. */
  get updateDims(): readonly Dim[] {
    const { dims } = this.indices.view;
    return this.axis === undefined ? dims.slice(0, -1) : dims;
  }

  /** Extents that places are told apart in: of all axes, or of those that tuples name. */
  get placeDims(): readonly Dim[] {
    return this.axis === undefined ? this.dims.slice(0, this.indices.view.dims.at(-1) as number) : this.dims;
  }

  /** Updates of one place, at most. */
  get mostUpdates(): number {
    return dimBounds(this.axis === undefined ? productOf(this.updateDims) : this.updateDims[this.axis]!).max;
  }

  /** Coordinates, in the axes that it names, of the place of the update at coordinates `u`. */
  placeOf(u: readonly string[]): string[] {
    const pick = (at: readonly string[], extent: Dim): string =>
      `${this.number}(pick_index(${this.indices.at(at)}, ${this.args.dim(extent)}))`;
    if (this.axis === undefined) return this.placeDims.map((extent, k) => pick([...u, String(k)], extent));
    return u.map((c, k) => (k === this.axis ? pick(u, this.dims[k]!) : c));
  }

  /** The linear index of what has these coordinates. */
  flat(terms: readonly string[], dims: readonly Dim[]): string {
    return terms.reduce((sum, c, k) => (k === 0 ? c : `(${sum}) * ${this.args.dim(dims[k]!)} + ${c}`), '0');
  }

  /** A kernel of a thread for every element of the result, at c0, c1 …, the i-th in order. */
  overResult(name: string, body: string): Kernel {
    return this.kernel(
      name,
      productOf(this.dims),
      `${coordinates(this.dims, 'rows', this.number, this.args)}\n${body}`,
    );
  }

  /** A kernel of a thread for every element of the updates, which is `update`; its place is at t0, t1 … */
  overUpdates(name: string, body: string): Kernel {
    const { dims } = this.updates.view;
    const c = names('c', dims.length);
    const lead = this.updateDims.length;
    const place = [...this.placeOf(c.slice(0, lead)), ...c.slice(lead)];
    const targets = place.map((at, k) => `  [[maybe_unused]] const ${this.number} t${String(k)} = ${at};`);
    const text = `${coordinates(dims, 'rows', this.number, this.args)}
  const ${this.updates.type} update = ${this.updates.at(c)};
${targets.join('\n')}
${body}`;
    return this.kernel(name, productOf(dims), text);
  }

  /** Of a result without elements, updates have no place. */
  kernel(name: string, count: Dim, body: string): Kernel {
    const elements = productOf(this.dims);
    const guard = dimBounds(elements).min > 0 ? '' : `  if (${this.args.dim(elements)} == 0) return;\n`;
    const text = guard + body;
    return elementKernel({ name, count, number: this.number, body: text } satisfies ElementKernel, this.args);
  }
}

export type Kernel = ReturnType<typeof elementKernel>;

/** A step of these kernels, one after the other. */
export function launchKernels(
  p: ScatterProblem,
  kernels: readonly Kernel[],
  workspaceBytes?: Dim,
): Promise<EmittedStep> {
  return launchStep({
    uses: ['indexing', 'scatter'],
    text: kernels.map((k) => k.text).join(''),
    arguments: p.args,
    launches: kernels.map((k) => k.launch),
    ...(workspaceBytes !== undefined && { workspaceBytes }),
  });
}
