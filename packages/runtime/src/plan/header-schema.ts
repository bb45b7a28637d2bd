/** The types of everything in a plan's header; how the parts fit together is checked in `check-program.ts`. */

import type {
  DroppedTactic,
  PlanAgreement,
  PlanAttribute,
  PlanBinding,
  PlanExpression,
  PlanHeader,
  PlanLayer,
  PlanLibrary,
  PlanOperand,
  PlanProfile,
  PlanProgram,
  PlanReport,
  PlanSection,
  PlanSegment,
  PlanStep,
  PlanStorage,
  PlanSymbol,
  PlanValue,
} from '@tensorwright/core';
import { dtypes, planRoundings } from '@tensorwright/core';
import {
  byKind,
  type Check,
  finite,
  integer,
  list,
  nullable,
  object,
  oneOf,
  pair,
  problem,
  record,
  text,
} from './check.js';

const index = integer(0);
const size = integer(0);

const symbol: Check<PlanSymbol> = object<PlanSymbol>({ name: text, min: integer(), max: integer() });

const expression: Check<PlanExpression> = list((v) =>
  typeof v === 'string' || Number.isSafeInteger(v) ? undefined : problem('an integer or an operator', v),
);

type Stored<K extends PlanStorage['kind']> = Extract<PlanStorage, { kind: K }>;
const storage: Check<PlanStorage> = byKind<PlanStorage>({
  input: object<Stored<'input'>>({ kind: text as Check<'input'>, index }),
  constant: object<Stored<'constant'>>({ kind: text as Check<'constant'>, offset: size, bytes: size }),
  arena: object<Stored<'arena'>>({ kind: text as Check<'arena'>, offset: size, bytes: size }),
  heap: object<Stored<'heap'>>({ kind: text as Check<'heap'> }),
  dims: object<Stored<'dims'>>({ kind: text as Check<'dims'>, elements: list(index) }),
  object: object<Stored<'object'>>({ kind: text as Check<'object'>, strings: list(text) }, ['strings']),
});

const agreement: Check<PlanAgreement> = object<PlanAgreement>({
  left: index,
  right: index,
  what: text,
  names: pair(text, text),
});

const value: Check<PlanValue> = object<PlanValue>(
  {
    dtype: oneOf(dtypes),
    dims: list(index),
    order: list(index),
    storage,
    memory: oneOf(['cuda']),
    binds: list(pair(index, index)),
    names: list(text),
  },
  ['dtype', 'dims', 'order', 'memory', 'binds', 'names'],
);

const operand: Check<PlanOperand> = object<PlanOperand>(
  { value: index, offset: index, dims: list(index), strides: list(index) },
  ['offset', 'dims', 'strides'],
);

const attribute: Check<PlanAttribute> = (v) => {
  if (typeof v === 'string' || typeof v === 'boolean' || Number.isFinite(v)) return undefined;
  if (!Array.isArray(v)) return problem('a number, a string, a boolean or a list', v);
  const element: Check<unknown> = typeof v[0] === 'string' ? text : finite;
  return list(element)(v);
};

const layer: Check<PlanLayer> = object<PlanLayer>(
  { name: text, kind: text, origins: list(text), tactic: text, microseconds: finite },
  ['microseconds'],
);

const step: Check<PlanStep> = object<PlanStep>(
  {
    kernel: text,
    attributes: record(attribute),
    inputs: list(nullable(operand)),
    outputs: list(nullable(operand)),
    programs: list<PlanProgram>((v) => program(v)),
    layer,
  },
  ['programs'],
);

const segment: Check<PlanSegment> = object<PlanSegment>({ backend: text, begin: index, end: index });

const program: Check<PlanProgram> = object<PlanProgram>(
  {
    symbols: list(symbol),
    inherits: list(pair(index, index)),
    expressions: list(expression),
    agreements: list(agreement),
    values: list(value),
    inputs: list(index),
    outputs: list(index),
    steps: list(step),
    segments: list(segment),
    arenaBytes: size,
    deviceArenaBytes: size,
  },
  ['inherits', 'agreements', 'deviceArenaBytes'],
);

const section: Check<PlanSection> = object<PlanSection>({
  name: oneOf(['weights', 'kernels', 'libraries', 'debug']),
  offset: size,
  bytes: size,
  digest: text,
});

const binding: Check<PlanBinding> = object<PlanBinding>({ name: text, type: text, value: index });

const extents = list(size);
const profile: Check<PlanProfile> = object<PlanProfile>({
  inputs: record(object({ min: extents, opt: extents, max: extents })),
});

const dropped: Check<DroppedTactic> = object<DroppedTactic>({
  node: text,
  operator: text,
  backend: text,
  tactic: text,
  parameters: text,
  code: text,
  reason: text,
});

const report: Check<PlanReport> = object<PlanReport>(
  {
    activationBytes: size,
    lowerBoundBytes: size,
    weightBytes: size,
    fallbacks: list(object({ node: text, operator: text, backend: text, reason: text })),
    patterns: list(object({ plugin: text, pattern: text, matches: size })),
    dropped: list(dropped),
    rounding: list(oneOf(planRoundings)),
  },
  ['patterns', 'dropped', 'rounding'],
);

const library: Check<PlanLibrary> = object<PlanLibrary>({
  name: text,
  platform: text,
  offset: size,
  bytes: size,
  digest: text,
  plugins: list(object({ name: text, version: text, namespace: text })),
});

export const headerSchema: Check<PlanHeader> = object<PlanHeader>(
  {
    name: text,
    producer: text,
    requires: list(text),
    backends: list(object({ name: text, version: text, needs: list(text) })),
    inputs: list(binding),
    outputs: list(binding),
    profiles: list(profile),
    program,
    report,
    libraries: list(library),
    sections: list(section),
  },
  ['libraries'],
);
