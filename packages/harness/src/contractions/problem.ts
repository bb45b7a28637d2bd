/** A contraction to time: operands, attributes, and what follows it. */

import type { Attributes } from '@tensorwright/core';

export type Activation = 'none' | 'relu' | 'clip' | 'silu' | 'gelu';

export interface Problem {
  readonly op: 'dot' | 'conv';
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly attributes: Attributes;
  /** Whether w is. */
  readonly constant: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: Activation;
}

export interface NamedProblem extends Problem {
  /** The networks that have it: 'resnet50 8'. */
  readonly of: readonly string[];
}
