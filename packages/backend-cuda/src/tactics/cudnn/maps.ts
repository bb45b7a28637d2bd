/** The maps after a convolution as cuDNN's graphs say them: one operation on one or two operands each. */

import {
  anchorArg,
  type DType,
  type GroupView,
  provablyEqual,
  type Scalar,
  scalarArgs,
  type TensorType,
} from '@tensorwright/core';
import type { CudnnMap } from '@tensorwright/native';
import { sameScalar, withoutGelu } from '../gelu.js';
import { dtypeOf, sameExtents } from '../operands.js';

/** An input of the group that maps read. */
export interface Side {
  readonly input: number;
  /** A list of the result's channels, not an operand that broadcasts. */
  readonly isChannels: boolean;
  /** As large as the result. */
  readonly isWhole: boolean;
}

export interface ConvolutionMaps {
  readonly maps: readonly CudnnMap[];
  readonly sides: readonly Side[];
  readonly scalars: readonly number[];
}

/** What the library computes in float32 and rounds to. */
export const convolved: ReadonlySet<DType> = new Set(['float16', 'bfloat16', 'float32']);

/** undefined for other expressions. */
export function mapsOf(group: GroupView): ConvolutionMaps | undefined {
  const expressions = group.expressions();
  return expressions.length === 1 ? new MapWriter(group).write(expressions[0]!) : undefined;
}

/** Of one name each, in cuDNN and here. */
const binary = new Set(['add', 'sub', 'mul', 'div', 'min', 'max']);
const unary = new Set([
  ...['sqrt', 'abs', 'ceil', 'cos', 'exp', 'floor', 'log', 'neg', 'sin', 'tan', 'erf', 'reciprocal', 'tanh', 'sigmoid'],
]);
/** Networks have fewer: a bias, a residual and an activation of half a dozen. */
const mostMaps = 16;

/** An operand: the sum, what a map gives, a side or a scalar. */
type Operand = { readonly kind: 'sum' } | { readonly kind: 'map' | 'side' | 'scalar'; readonly index: number };

interface Written {
  readonly name: string;
  readonly operands: readonly Operand[];
}

class MapWriter {
  readonly #group: GroupView;
  readonly #anchor: number;
  readonly #maps: Written[] = [];
  readonly #sides: Side[] = [];
  readonly #scalars: number[] = [];
  readonly #known = new Map<Scalar, Operand | undefined>();

  constructor(group: GroupView) {
    this.#group = group;
    this.#anchor = anchorArg(group);
  }

  write(root: Scalar): ConvolutionMaps | undefined {
    // The result is rounded to its type whatever comes last.
    const last = this.#operand(root.op === 'cast' && isComputed(root) ? root.args[0] : root);
    const { length } = this.#maps;
    if (last?.kind !== (length === 0 ? 'sum' : 'map') || length > mostMaps) return undefined;
    if (last.kind === 'map' && last.index !== length - 1) return undefined;
    const number = (o: Operand): number => {
      if (o.kind === 'sum') return 0;
      if (o.kind === 'map') return o.index + 1;
      return -1 - o.index - (o.kind === 'scalar' ? this.#sides.length : 0);
    };
    return {
      maps: this.#maps.map(({ name, operands: [left, right] }) => ({
        name,
        left: number(left!),
        ...(right && { right: number(right) }),
      })),
      sides: this.#sides,
      scalars: this.#scalars,
    };
  }

  #operand(e: Scalar): Operand | undefined {
    if (!this.#known.has(e)) this.#known.set(e, isComputed(e) ? this.#make(e) : undefined);
    return this.#known.get(e);
  }

  #make(e: Scalar): Operand | undefined {
    switch (e.op) {
      case 'arg':
        return e.index === this.#anchor ? this.#sum([e]) : this.#side(e.index);
      case 'const':
        return this.#scalar(Number(e.value));
      // Everything is computed in float32: what becomes that loses nothing, all else would be rounded in between.
      case 'cast':
        return e.dtype === 'float32' ? this.#operand(e.args[0]) : undefined;
      case 'add':
        return this.#sum(addends(e));
      default:
        return this.#activation(e) ?? this.#plain(e);
    }
  }

  /** In the order that the library's own kernels have: what is computed, what is as large, what is smaller. */
  #sum(terms: readonly Scalar[]): Operand | undefined {
    const operands: { readonly operand: Operand | undefined; readonly rank: number }[] = [];
    for (const term of terms) {
      const e = withoutWidening(term);
      if (e.op === 'arg' && e.index === this.#anchor) {
        operands.push({ operand: { kind: 'sum' }, rank: 0 });
        const bias = this.#group.anchorInputs[2];
        if (bias !== undefined) operands.push({ operand: this.#channels(bias), rank: 3 });
      } else {
        const rank = this.#reads(e) ? 1 : e.op === 'arg' && this.#isWhole(e.index) ? 2 : e.op === 'const' ? 4 : 3;
        operands.push({ operand: this.#operand(e), rank });
      }
    }
    operands.sort((a, b) => a.rank - b.rank);
    return operands
      .map(({ operand }) => operand)
      .reduce((sum, next) => sum && next && this.#push({ name: 'add', operands: [sum, next] }));
  }

  #activation(e: Scalar): Operand | undefined {
    const apply = (name: string, of: Scalar): Operand | undefined => {
      const operand = this.#operand(of);
      return operand && this.#push({ name, operands: [operand] });
    };
    if (e.op === 'max') {
      const zero = e.args.findIndex((a) => a.op === 'const' && Number(a.value) === 0);
      if (zero >= 0) return apply('relu', e.args[1 - zero]!);
    }
    for (const [approximate, name] of [
      ['none', 'gelu'],
      ['tanh', 'geluTanh'],
    ] as const) {
      const of = withoutGelu(e, approximate);
      if (of) return apply(name, of);
    }
    return e.op === 'select' ? this.#leaky(e.args) : undefined;
  }

  /** x below zero times a slope up to 1: the larger of the two. Not of 0, whose product with infinity is none. */
  #leaky([below, scaled, x]: readonly [Scalar, Scalar, Scalar]): Operand | undefined {
    if (below.op !== 'lt' || scaled.op !== 'mul') return undefined;
    const [of, zero] = below.args;
    const [slope, other] = scaled.args;
    if (zero.op !== 'const' || Number(zero.value) !== 0 || slope.op !== 'const') return undefined;
    const alpha = Math.fround(Number(slope.value));
    if (!(alpha > 0 && alpha <= 1) || !sameScalar(of, x) || !sameScalar(other, x)) return undefined;
    const operand = this.#operand(x);
    const factor = this.#scalar(alpha);
    if (!operand || !factor) return undefined;
    return this.#push({ name: 'max', operands: [operand, this.#push({ name: 'mul', operands: [operand, factor] })] });
  }

  #plain(e: Scalar): Operand | undefined {
    if (!binary.has(e.op) && !unary.has(e.op)) return undefined;
    const operands = scalarArgs(e).map((a) => this.#operand(a));
    return operands.every((o) => o !== undefined) ? this.#push({ name: e.op, operands }) : undefined;
  }

  #push(map: Written): Operand {
    return { kind: 'map', index: this.#maps.push(map) - 1 };
  }

  #scalar(value: number): Operand | undefined {
    const rounded = Math.fround(value);
    return Number.isFinite(rounded) ? { kind: 'scalar', index: this.#scalars.push(rounded) - 1 } : undefined;
  }

  #channels(input: number): Operand | undefined {
    return this.#isRead(input) ? this.#addSide({ input, isChannels: true, isWhole: false }) : undefined;
  }

  #side(input: number): Operand | undefined {
    const shape = (this.#group.node.inputs[input]!.type as TensorType).dims!;
    const result = (this.#group.outputs[0]!.type as TensorType).dims!;
    const lead = result.length - shape.length;
    const fits = shape.every(
      (d, i) => d === 1 || (result[lead + i] !== undefined && provablyEqual(d, result[lead + i]!)),
    );
    if (lead < 0 || !fits || !this.#isRead(input)) return undefined;
    return this.#addSide({ input, isChannels: false, isWhole: this.#isWhole(input) });
  }

  #addSide(side: Side): Operand {
    const known = this.#sides.findIndex((s) => s.input === side.input && s.isChannels === side.isChannels);
    return { kind: 'side', index: known >= 0 ? known : this.#sides.push(side) - 1 };
  }

  #isRead(input: number): boolean {
    return convolved.has(dtypeOf(this.#group.node.inputs[input])!);
  }

  /** Whether it reads the convolution's sum. */
  #reads(e: Scalar): boolean {
    return e.op === 'arg' ? e.index === this.#anchor : scalarArgs(e).some((a) => this.#reads(a));
  }

  #isWhole(input: number): boolean {
    const shape = (this.#group.node.inputs[input]!.type as TensorType).dims!;
    const result = (this.#group.outputs[0]!.type as TensorType).dims!;
    return sameExtents(shape, result);
  }
}

function isComputed(e: Scalar): boolean {
  return convolved.has(e.dtype);
}

function addends(e: Scalar): readonly Scalar[] {
  return e.op === 'add' ? e.args.flatMap(addends) : [e];
}

function withoutWidening(e: Scalar): Scalar {
  return e.op === 'cast' && e.dtype === 'float32' ? withoutWidening(e.args[0]) : e;
}
