/** The map expressions around a product that cuBLASLt computes itself: activation(product + bias + residual). */

import { anchorArg, type Dim, type GroupView, provablyEqual, type Scalar, type TensorType } from '@tensorwright/core';
import type { Problem } from '../contraction/problem.js';
import { withoutGelu } from '../gelu.js';
import type { Sides } from './matrix-problem.js';

export interface Epilogue extends Sides {
  readonly activation: 'none' | 'relu' | 'gelu';
}

/** undefined for other expressions. */
export function epilogueOf(group: GroupView, problem: Problem): Epilogue | undefined {
  const { activation, of } = withoutActivation(group.expressions()[0]!);
  const sums = addends(of).map(withoutWidening);
  const anchor = anchorArg(group);
  let bias = problem.bias?.input;
  let residual: number | undefined;
  let products = 0;
  for (const e of sums) {
    if (e.op !== 'arg') return undefined;
    if (e.index === anchor) {
      products++;
      continue;
    }
    const shape = (group.node.inputs[e.index]!.type as TensorType).dims!;
    const kind = sideKind(shape, (group.outputs[0]!.type as TensorType).dims!, problem);
    if (kind === 'bias' && bias === undefined) bias = e.index;
    else if (kind === 'residual' && residual === undefined) residual = e.index;
    else return undefined;
  }
  return products === 1 ? { activation, bias, residual } : undefined;
}

function addends(e: Scalar): readonly Scalar[] {
  return e.op === 'add' ? e.args.flatMap(addends) : [e];
}

/** Sums are float32 already: that a 16-bit product becomes float32 loses nothing. */
function withoutWidening(e: Scalar): Scalar {
  return e.op === 'cast' && e.dtype === 'float32' && e.args[0].op === 'arg' ? e.args[0] : e;
}

function withoutActivation(e: Scalar): { activation: Epilogue['activation']; of: Scalar } {
  if (e.op === 'max') {
    const zero = e.args.findIndex((a) => a.op === 'const' && Number(a.value) === 0);
    if (zero >= 0) return { activation: 'relu', of: e.args[1 - zero]! };
  }
  const of = withoutGelu(e, 'tanh');
  return of ? { activation: 'gelu', of } : { activation: 'none', of: e };
}

/** A bias varies along the columns alone; a residual is as large as the result. */
function sideKind(shape: readonly Dim[], result: readonly Dim[], problem: Problem): 'bias' | 'residual' | undefined {
  const lead = result.length - shape.length;
  const extents = result.map((_, i) => (i < lead ? 1 : shape[i - lead]!));
  const whole = (i: number): boolean => provablyEqual(extents[i]!, result[i]!);
  const ofColumns = (i: number): boolean => problem.output[i]!.terms.some((t) => t.role === 'columns');
  if (extents.every((d, i) => (ofColumns(i) ? whole(i) : d === 1))) return 'bias';
  return extents.every((_, i) => whole(i)) ? 'residual' : undefined;
}
