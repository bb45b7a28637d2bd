/** The fields of a plugin: what a call of it can be told, with kinds and defaults. */

import { ConstantData, type FieldKind, Tensor, TensorwrightError } from '@tensorwright/core';

/** One field, as the makers of `field` give it. */
export interface Field<T> {
  readonly kind: FieldKind;
  /** undefined: the call must give it. */
  readonly default: T | undefined;
}

/** A field with a default: a call may leave it out. */
export interface OptionalField<T> extends Field<T> {
  readonly default: T;
}

interface FieldMaker<T> {
  (): Field<T>;
  (fallback: T): OptionalField<T>;
}

function maker<T>(kind: FieldKind): FieldMaker<T> {
  return ((fallback?: T) => ({ kind, default: fallback })) as FieldMaker<T>;
}

/** Fields by kind; the argument is the default, without one the field must be given. */
export const field: {
  readonly int: FieldMaker<number>;
  readonly float: FieldMaker<number>;
  readonly bool: FieldMaker<boolean>;
  readonly string: FieldMaker<string>;
  readonly ints: FieldMaker<readonly number[]>;
  readonly floats: FieldMaker<readonly number[]>;
  readonly strings: FieldMaker<readonly string[]>;
  readonly tensor: FieldMaker<Tensor>;
} = {
  int: maker('int'),
  float: maker('float'),
  bool: maker('bool'),
  string: maker('string'),
  ints: maker('ints'),
  floats: maker('floats'),
  strings: maker('strings'),
  tensor: maker('tensor'),
};

/** The fields of a plugin by name. */
export type FieldSchema = Readonly<Record<string, Field<unknown>>>;

/** The schema of plugins without fields. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- what has no members is the point
export type NoFields = {};

/** What an implementation sees: every field with its value. */
export type FieldValues<F extends FieldSchema> = {
  readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never;
};

type Given<F extends FieldSchema> = { [K in keyof F]: F[K] extends OptionalField<unknown> ? never : K }[keyof F];

/** What a call gives: fields without a default, and any others. */
export type FieldArguments<F extends FieldSchema> = Pick<FieldValues<F>, Given<F>> & Partial<FieldValues<F>>;

type Check = (value: unknown) => boolean;

const isList =
  (check: Check): Check =>
  (v) =>
    Array.isArray(v) && v.every(check);
const isInteger: Check = (v) => Number.isSafeInteger(v);
const isNumber: Check = (v) => typeof v === 'number';
const isString: Check = (v) => typeof v === 'string';

const kinds: Readonly<Record<FieldKind, { readonly holds: Check; readonly expected: string }>> = {
  int: { holds: isInteger, expected: 'an integer' },
  float: { holds: isNumber, expected: 'a number' },
  bool: { holds: (v) => typeof v === 'boolean', expected: 'true or false' },
  string: { holds: isString, expected: 'a string' },
  ints: { holds: isList(isInteger), expected: 'a list of integers' },
  floats: { holds: isList(isNumber), expected: 'a list of numbers' },
  strings: { holds: isList(isString), expected: 'a list of strings' },
  tensor: { holds: (v) => v instanceof Tensor || v instanceof ConstantData, expected: 'a tensor' },
};

/** @throws ERR_INVALID_ARGUMENT naming the plugin and the field */
export function checkFields(title: string, schema: FieldSchema, given: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(given)) {
    const known = Object.hasOwn(schema, name) ? schema[name] : undefined;
    if (!known) {
      const names = Object.keys(schema);
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `plugin ${title} has no field '${name}'; ${names.length > 0 ? `its fields: ${names.join(', ')}` : 'it has none'}`,
        { plugin: title, field: name, known: names },
      );
    }
    if (value !== undefined) checkField(title, name, known.kind, value);
  }
  for (const [name, { kind, default: fallback }] of Object.entries(schema)) {
    if (fallback === undefined && given[name] === undefined)
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `plugin ${title}: field '${name}' is missing and must be ${kinds[kind].expected}`,
        { plugin: title, field: name },
      );
  }
}

/** @throws ERR_INVALID_ARGUMENT naming what is no field, or whose default is not of its kind */
export function checkSchema(title: string, schema: FieldSchema): void {
  for (const [name, given] of Object.entries(schema)) {
    const { kind, default: fallback }: Partial<Field<unknown>> = given ?? {};
    if (kind === undefined || !Object.hasOwn(kinds, kind))
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        `plugin ${title}: field '${name}' must be made by ${Object.keys(kinds)
          .map((k) => `field.${k}`)
          .join(', ')}`,
        { plugin: title, field: name, received: given },
      );
    if (fallback !== undefined) checkField(title, name, kind, fallback);
  }
}

/** @throws ERR_INVALID_ARGUMENT when the value is not of the kind */
export function checkField(title: string, name: string, kind: FieldKind, value: unknown): void {
  const { holds, expected } = kinds[kind];
  if (!holds(value))
    throw new TensorwrightError('ERR_INVALID_ARGUMENT', `plugin ${title}: field '${name}' must be ${expected}`, {
      plugin: title,
      field: name,
      expected,
      received: value,
    });
}

/** The fields' values out of a node's attributes. */
export function valuesOf<F extends FieldSchema>(
  schema: F,
  attributes: Readonly<Record<string, unknown>>,
): FieldValues<F> {
  const entries = Object.keys(schema).map((name) => {
    const value = attributes[name];
    return [name, value instanceof ConstantData ? value.tensor : value] as const;
  });
  return Object.fromEntries(entries) as FieldValues<F>;
}
