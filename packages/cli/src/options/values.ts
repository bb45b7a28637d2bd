/** Values of options, from text. Commander adds the option's name to the message. */

import { InvalidArgumentError } from 'commander';

export function integerFrom(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(
        `Expected an integer ${max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`}.`,
      );
    }
    return value;
  };
}

export function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('Expected a number that is not negative.');
  return value;
}

/** Above 0; 'Infinity' is one. */
export function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0)) throw new InvalidArgumentError('Expected a number above 0.');
  return value;
}

const milliseconds = { ms: 1, s: 1000, min: 60_000, m: 60_000, h: 3_600_000 } as const;
type TimeUnit = keyof typeof milliseconds;

/** Milliseconds from '500ms', '3s', '2min', or a number of `unit`. */
export function durationIn(unit: TimeUnit): (text: string) => number {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)?$/.exec(text.trim());
    if (!match) throw new InvalidArgumentError(`Expected a time, like 500ms, 3s or 2min; a bare number is ${unit}.`);
    return Number(match[1]) * milliseconds[(match[2] as TimeUnit | undefined) ?? unit];
  };
}

/** Comma-separated; repeated options add up. */
export function list(text: string, previous: readonly string[] = []): string[] {
  const items = text.split(',').map((s) => s.trim());
  if (items.some((s) => s === '')) throw new InvalidArgumentError('Expected names separated by commas.');
  return [...previous, ...items];
}

/** A list of names out of `known`. */
export function namesOf<T extends string>(known: readonly T[]): (text: string, previous?: readonly T[]) => T[] {
  return (text, previous) => {
    const names = list(text, previous);
    const other = names.find((n) => !(known as readonly string[]).includes(n));
    if (other !== undefined) throw new InvalidArgumentError(`Expected ${known.join(', ')}; not '${other}'.`);
    return names as T[];
  };
}

/** Percentages, comma-separated; the last occurrence counts. */
export function percentages(text: string): number[] {
  const values = text.split(',').map(Number);
  if (values.some((v) => !(v > 0 && v <= 100)))
    throw new InvalidArgumentError('Expected percentages above 0 and up to 100, separated by commas.');
  return values;
}
