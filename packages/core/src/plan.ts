/**
 * The plan level: steps over buffers, as the plan file's header carries them and the executor runs them.
 * Everything here is plain JSON. A `Dims` entry is an index into `expressions`.
 */

import type { DType } from './dtype.js';
import type { PluginKey } from './plugin-key.js';

export const planFormatVersion = 2;

/**
 * Postfix integer code over the program's symbols: numbers are constants, 's3' pushes symbol 3,
 * '+', '*', 'floordiv', 'mod', 'min', 'max' combine the two values before them.
 */
export type PlanExpression = readonly (number | string)[];
export type ExpressionIndex = number;

export interface PlanSymbol {
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

/** A memory besides the host's. */
export type PlanMemory = 'cuda';

/** Where a value's bytes are. */
export type PlanStorage =
  /** A network (or region) input: bound by the caller. */
  | { readonly kind: 'input'; readonly index: number }
  /** In the plan's weights section. */
  | { readonly kind: 'constant'; readonly offset: number; readonly bytes: number }
  /** In the activation arena, at a fixed offset. */
  | { readonly kind: 'arena'; readonly offset: number; readonly bytes: number }
  /** Allocated when its step runs: sizes that data decides, and network outputs. */
  | { readonly kind: 'heap' }
  /** An int64 tensor whose elements are expressions. */
  | { readonly kind: 'dims'; readonly elements: readonly ExpressionIndex[] }
  /** Not memory of the native executor: strings, sequences, optionals, maps. `strings`: a constant string tensor's elements. */
  | { readonly kind: 'object'; readonly strings?: readonly string[] };

export interface PlanValue {
  /** undefined for objects that are no tensors. */
  readonly dtype?: DType;
  /** undefined: rank unknown until the step has run. */
  readonly dims?: readonly ExpressionIndex[];
  /** Physical order of the axes, outermost first; absent: row-major. Channels-last of rank 4 is [0, 2, 3, 1]. */
  readonly order?: readonly number[];
  readonly storage: PlanStorage;
  /** Absent: the host's. Each memory has an arena of its own. */
  readonly memory?: PlanMemory;
  /** Symbols this value defines when its step has run (or its input is bound): axis → symbol. */
  readonly binds?: readonly (readonly [axis: number, symbol: number])[];
  /** Names in the user's model, for messages and the inspector. */
  readonly names?: readonly string[];
}

/** A value, or a strided view of it. Offsets and strides are in elements. */
export interface PlanOperand {
  readonly value: number;
  readonly offset?: ExpressionIndex;
  readonly dims?: readonly ExpressionIndex[];
  readonly strides?: readonly ExpressionIndex[];
}

export type PlanAttribute = number | string | boolean | readonly number[] | readonly string[];

export interface PlanStep {
  /** Kernel of the segment's backend, or 'if', 'loop', 'scan' with programs. */
  readonly kernel: string;
  readonly attributes: Readonly<Record<string, PlanAttribute>>;
  /** null: an omitted optional input. */
  readonly inputs: readonly (PlanOperand | null)[];
  readonly outputs: readonly (PlanOperand | null)[];
  readonly programs?: readonly PlanProgram[];
  /** For people: layer name, origin nodes, tactic, fused operators. */
  readonly layer: PlanLayer;
}

export interface PlanLayer {
  readonly name: string;
  readonly kind: string;
  readonly origins: readonly string[];
  readonly tactic: string;
  /** Measured at build, where it was. */
  readonly microseconds?: number;
}

/** Consecutive steps on one backend. */
export interface PlanSegment {
  readonly backend: string;
  readonly begin: number;
  readonly end: number;
}

/**
 * Two extents that the shapes of the inputs decide and that must be equal: a run checks it before its first step. Where
 * broadcasting allows one of them to be 1 instead, its expression then gives the other's value.
 */
export interface PlanAgreement {
  readonly left: ExpressionIndex;
  readonly right: ExpressionIndex;
  /** For messages, the user's node and what it needs to agree: "MatMul_3: extents of label 'k'". */
  readonly what: string;
  /** For messages, the tensors whose extents these are. */
  readonly names: readonly [left: string, right: string];
}

/** A network, or the body of a control step. */
export interface PlanProgram {
  readonly symbols: readonly PlanSymbol[];
  /** Symbols taken over from the enclosing program when the body starts: [own, enclosing]. */
  readonly inherits?: readonly (readonly [number, number])[];
  readonly expressions: readonly PlanExpression[];
  /** Absent: none. */
  readonly agreements?: readonly PlanAgreement[];
  readonly values: readonly PlanValue[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly steps: readonly PlanStep[];
  readonly segments: readonly PlanSegment[];
  /** Of the host's arena. */
  readonly arenaBytes: number;
  /** Of the arena in the other memory; absent: none. */
  readonly deviceArenaBytes?: number;
}

export interface PlanSection {
  readonly name: 'weights' | 'kernels' | 'libraries' | 'debug';
  /** From the end of the header, a multiple of the section alignment. */
  readonly offset: number;
  readonly bytes: number;
  readonly digest: string;
}

/** An input or output as the user sees it. */
export interface PlanBinding {
  readonly name: string;
  /** Formatted type with symbol names, for people. */
  readonly type: string;
  readonly value: number;
}

export interface PlanProfile {
  /** Per input name: extents; absent for static inputs. */
  readonly inputs: Readonly<
    Record<
      string,
      { readonly min: readonly number[]; readonly opt: readonly number[]; readonly max: readonly number[] }
    >
  >;
}

/** A shared library of plugins that the plan carries: code, which a runtime runs only where it is told to. */
export interface PlanLibrary {
  /** File name, for messages. */
  readonly name: string;
  /** 'linux-x64': what it was built for, as Node.js calls it. */
  readonly platform: string;
  /** In the section 'libraries'. */
  readonly offset: number;
  readonly bytes: number;
  /** 'sha256:…' of these bytes. */
  readonly digest: string;
  /** Plugins of it that the plan's steps call. */
  readonly plugins: readonly PluginKey[];
}

/** The plan's header: all but the bytes of the sections. */
export interface PlanHeader {
  readonly name: string;
  /** '@tensorwright/builder 0.1.0'. */
  readonly producer: string;
  /** Features a runtime must know to run this plan; unknown ones are refused. */
  readonly requires: readonly string[];
  /** Backends in use and what they need of the machine. */
  readonly backends: readonly { readonly name: string; readonly version: string; readonly needs: readonly string[] }[];
  readonly inputs: readonly PlanBinding[];
  readonly outputs: readonly PlanBinding[];
  readonly profiles: readonly PlanProfile[];
  readonly program: PlanProgram;
  readonly report: PlanReport;
  /** Absent: none. A plan with libraries requires the feature 'embedded-libraries'. */
  readonly libraries?: readonly PlanLibrary[];
  readonly sections: readonly PlanSection[];
}

export interface PlanReport {
  readonly activationBytes: number;
  readonly lowerBoundBytes: number;
  readonly weightBytes: number;
  /** Nodes that a backend earlier in the user's order refused, and why. */
  readonly fallbacks: readonly {
    readonly node: string;
    readonly operator: string;
    readonly backend: string;
    readonly reason: string;
  }[];
  /** Of plugins with patterns: what took the place of how many subgraphs. */
  readonly patterns?: readonly PatternReport[];
  /** Tactics that were tried and dropped: their kernels failed, or computed something else than others did. */
  readonly dropped?: readonly DroppedTactic[];
  /** What float32 may be rounded to inside of steps, whose results need not show it: as the build permitted. Absent: nothing. */
  readonly rounding?: readonly PlanRounding[];
}

export const planRoundings = ['fp16', 'bf16', 'tf32'] as const;
/** By the names of the builder's options. */
export type PlanRounding = (typeof planRoundings)[number];

export interface PatternReport {
  /** 'acme::Gelu 1' */
  readonly plugin: string;
  readonly pattern: string;
  /** Subgraphs that the plugin replaced. */
  readonly matches: number;
}

export interface DroppedTactic {
  /** The user's node, or the operator. */
  readonly node: string;
  readonly operator: string;
  readonly backend: string;
  readonly tactic: string;
  /** As text: what tells candidates of one tactic apart. */
  readonly parameters: string;
  /** ERR_DEVICE for kernels that failed, ERR_VALUE for wrong results. */
  readonly code: string;
  readonly reason: string;
}
