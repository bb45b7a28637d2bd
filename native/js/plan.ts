/**
 * The plan level as the executor runs it. These are the types of `@tensorwright/core` restated: the addon's package
 * imports nothing, and a plan program of that package is one of these.
 */

/** Element types, in the native library's order. */
export const dtypes = [
  'float32', 'float16', 'bfloat16', 'float64',
  'float8e4m3fn', 'float8e4m3fnuz', 'float8e5m2', 'float8e5m2fnuz', 'float8e8m0', 'float4e2m1',
  'int2', 'uint2', 'int4', 'uint4', 'int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64',
  'bool', 'complex64', 'complex128', 'string',
] as const; // prettier-ignore

export type DType = (typeof dtypes)[number];

export interface PlanSymbol {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

export type PlanStorage =
  | { readonly kind: 'input'; readonly index: number }
  | { readonly kind: 'constant'; readonly offset: number; readonly bytes: number }
  | { readonly kind: 'arena'; readonly offset: number; readonly bytes: number }
  | { readonly kind: 'heap' }
  | { readonly kind: 'dims'; readonly elements: readonly number[] }
  | { readonly kind: 'object' };

export interface PlanValue {
  readonly dtype?: DType;
  readonly dims?: readonly number[];
  readonly order?: readonly number[];
  readonly storage: PlanStorage;
  readonly memory?: 'cuda';
  readonly binds?: readonly (readonly [axis: number, symbol: number])[];
  readonly names?: readonly string[];
}

export interface PlanOperand {
  readonly value: number;
  readonly offset?: number;
  readonly dims?: readonly number[];
  readonly strides?: readonly number[];
}

export type PlanAttribute = number | string | boolean | readonly number[] | readonly string[];

export interface PlanStep {
  readonly kernel: string;
  readonly attributes: Readonly<Record<string, PlanAttribute>>;
  readonly inputs: readonly (PlanOperand | null)[];
  readonly outputs: readonly (PlanOperand | null)[];
  readonly programs?: readonly PlanProgram[];
  /** For messages. */
  readonly layer?: { readonly name: string };
}

export interface PlanSegment {
  readonly backend: string;
  readonly begin: number;
  readonly end: number;
}

/** Extents that a run needs to be equal. Only of what the inputs' shapes decide. */
export interface PlanAgreement {
  readonly left: number;
  readonly right: number;
  readonly what: string;
  readonly names: readonly [left: string, right: string];
}

/** Segments of the backends `'cpu'` and `'cuda'` run here; the steps of others are between `begin` and `finish` of a context. */
export interface PlanProgram {
  readonly symbols: readonly PlanSymbol[];
  readonly inherits?: readonly (readonly [own: number, enclosing: number])[];
  readonly expressions: readonly (readonly (number | string)[])[];
  readonly agreements?: readonly PlanAgreement[];
  readonly values: readonly PlanValue[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly steps: readonly PlanStep[];
  readonly segments: readonly PlanSegment[];
  readonly arenaBytes: number;
  readonly deviceArenaBytes?: number;
}
