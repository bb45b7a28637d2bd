/** Inputs and outputs of an engine as the user sees them. */

import {
  type Dim,
  type DType,
  formatDim,
  formatType,
  type PlanBinding,
  type PlanHeader,
  type Tensor,
} from '@tensorwright/core';
import type { SymbolicDims } from './plan/expressions.js';
import type { RunValue } from './run/driver.js';

/** Named tensors: what goes into a run and comes out of it. Values that are no tensors occur only where a model has them. */
export type TensorMap<T extends RunValue = Tensor> = Record<string, T>;

/** An input or output of an engine. */
export interface TensorInfo {
  /** By which runs take and give it. */
  readonly name: string;
  /** undefined for sequences, optionals and maps. */
  readonly dtype: DType | undefined;
  /** Extents, or the names of symbols and expressions over them; undefined where only the run tells the rank. */
  readonly dims: readonly (number | string)[] | undefined;
  /** All of it as text: 'float32[batch, 3, 224, 224]'. */
  readonly type: string;
  /** What each profile allows, in the order of `Engine.profiles`; empty for outputs and inputs of fixed shape. */
  readonly profiles: readonly {
    readonly min: readonly number[];
    readonly opt: readonly number[];
    readonly max: readonly number[];
  }[];
}

export function describeTensor(binding: PlanBinding, header: PlanHeader, symbolic: SymbolicDims): TensorInfo {
  const value = header.program.values[binding.value]!;
  const dims = value.dims && symbolic.dims(value.dims);
  return {
    name: binding.name,
    dtype: value.dtype,
    dims: dims?.map((d: Dim) => (typeof d === 'number' ? d : formatDim(d))),
    type: value.dtype ? formatType({ kind: 'tensor', dtype: value.dtype, dims }) : binding.type,
    profiles: header.profiles.flatMap((p) => p.inputs[binding.name] ?? []),
  };
}
