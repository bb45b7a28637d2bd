/** Nothing in a plan is trusted: every mutation of a good one is a coded error or still a plan that runs. */

import {
  decodePlanPreamble,
  type PlanHeader,
  planPreamble,
  planPreambleBytes,
  planSectionAlignment,
  Tensor,
  TensorwrightError,
} from '@tensorwright/core';
import { writeFile } from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Runtime } from '../src/index.js';
import { denseExample } from './support/examples.js';
import { planBytes } from './support/hand-made.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
/** Headers are deformed on purpose. */
type Anything = any;
type Path = readonly (string | number)[];

let good: Uint8Array;
let header: PlanHeader;
let sectionsOffset: number;
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-plans-'));

beforeAll(async () => {
  good = planBytes(await denseExample());
  const preamble = decodePlanPreamble(good, good.length, 'plan');
  ({ sectionsOffset } = preamble);
  header = JSON.parse(
    Buffer.from(good.subarray(planPreambleBytes, planPreambleBytes + preamble.headerBytes)).toString(),
  ) as PlanHeader;
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A file with this header, whatever it is, over the good weights. */
function withHeader(json: Json): Uint8Array {
  const text = Buffer.from(JSON.stringify(json));
  const head = Buffer.alloc(Math.ceil((planPreambleBytes + text.length) / planSectionAlignment) * planSectionAlignment);
  head.set(planPreamble(text));
  text.copy(head, planPreambleBytes);
  return Buffer.concat([head, good.subarray(sectionsOffset)]);
}

function pathsOf(json: Json, at: Path = []): Path[] {
  if (typeof json !== 'object' || json === null) return [at];
  const children = Array.isArray(json)
    ? json.map((v, i) => pathsOf(v, [...at, i]))
    : Object.entries(json).map(([k, v]) => pathsOf(v, [...at, k]));
  return [...(at.length > 0 ? [at] : []), ...children.flat()];
}

function at(json: Json, path: Path): Json {
  return path.reduce<Json>((j, key) => (j as Record<string | number, Json>)[key]!, json);
}

function mutated(path: Path, change: (holder: Record<string | number, Json>, key: string | number) => void): Json {
  const copy = structuredClone(header) as unknown as Json;
  change(at(copy, path.slice(0, -1)) as Record<string | number, Json>, path.at(-1)!);
  return copy;
}

async function errorOf(plan: Uint8Array): Promise<unknown> {
  try {
    await (await Runtime.load(plan)).close();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Loads and, where that succeeds, runs: only coded errors may come out. */
async function survives(plan: Uint8Array, what: string): Promise<void> {
  try {
    await using engine = await Runtime.load(plan);
    await using context = engine.createContext();
    engine.inspect();
    await context.run({ x: new Tensor('float32', [1, 2, 3], [1, 3]) });
  } catch (error) {
    if (!TensorwrightError.is(error)) throw new Error(`${what}: ${String(error)}`, { cause: error });
    // An operator whose attributes are nonsense fails when it is evaluated, under its layer's name.
    if (error.details['layer'] === undefined) expect(error.code, `${what}: ${error.message}`).not.toBe('ERR_INTERNAL');
  }
}

describe('the header', () => {
  test('the example itself loads', async () => {
    expect(await errorOf(withHeader(header as unknown as Json))).toBeUndefined();
  });

  test('a field of the wrong type is refused by its name', async () => {
    const paths = pathsOf(header as unknown as Json);
    expect(paths.length).toBeGreaterThan(200);
    for (const path of paths) {
      const error = await errorOf(withHeader(mutated(path, (holder, key) => (holder[key] = { bogus: [1] }))));
      const what = path.join('.');
      expect(TensorwrightError.is(error), `${what}: ${String(error)}`).toBe(true);
      const { code, details } = error as TensorwrightError;
      expect(code, what).toBe('ERR_INVALID_PLAN');
      if (details['layer'] !== undefined) continue;
      // The field itself, or the one around it.
      const field = String(details['field']);
      expect(
        path
          .map((key) => (typeof key === 'number' ? `[${key}]` : key))
          .join('.')
          .replaceAll('.[', '[')
          .startsWith(field.replace(/\['.*$/, '').replace(/\.[^.]*$/, '')),
        `${what}: ${String(error)}`,
      ).toBe(true);
    }
  });

  test('missing, doubled, unknown and out-of-range values never crash', async () => {
    const values: Json[] = [null, -1, 0, 1, 7, 1e9, 2 ** 52, 1.5, '', 'bogus', true, [], {}, [[-1]]];
    for (const path of pathsOf(header as unknown as Json)) {
      const what = path.join('.');
      for (const value of values)
        await survives(
          withHeader(mutated(path, (holder, key) => (holder[key] = value))),
          `${what} = ${JSON.stringify(value)}`,
        );
      await survives(
        withHeader(
          mutated(path, (holder, key) => {
            if (Array.isArray(holder)) holder.splice(key as number, 1);
            else Reflect.deleteProperty(holder, key);
          }),
        ),
        `without ${what}`,
      );
      await survives(
        withHeader(
          mutated(path, (holder, key) => {
            if (Array.isArray(holder)) holder.splice(key as number, 0, holder[key]);
            else holder[`${String(key)}2`] = holder[key]!;
          }),
        ),
        `double ${what}`,
      );
    }
  }, 60_000);

  test('an index that is out of range is refused', async () => {
    const indices = pathsOf(header as unknown as Json).filter((path) => {
      const text = path.join('.');
      return /^program\.(values\.\d+\.(dims\.\d+|binds\.\d+\.\d+|storage\.(index|elements\.\d+|offset|bytes))|inputs\.\d+|outputs\.\d+|steps\.\d+\.(inputs|outputs)\.\d+\.value|segments\.\d+\.(begin|end))$|^(inputs|outputs)\.\d+\.value$/.test(
        text,
      );
    });
    expect(indices.length).toBeGreaterThan(30);
    for (const path of indices) {
      const error = await errorOf(withHeader(mutated(path, (holder, key) => (holder[key] = 1e9))));
      expect((error as TensorwrightError | undefined)?.code, `${path.join('.')}: ${String(error)}`).toBe(
        'ERR_INVALID_PLAN',
      );
    }
  });

  test.each<[string, RegExp, (header: Anything) => void]>([
    ['an unknown feature', /requires.*teleport.*version that built/, (h) => h.requires.push('teleport')],
    [
      'an unknown backend',
      /segments\[0\]\.backend.*among the plan's backends/,
      (h) => (h.program.segments[0].backend = 'tpu'),
    ],
    ['an unbalanced expression', /expressions\[0\]\[1\].*lacks operands/, (h) => (h.program.expressions[0] = [1, '+'])],
    ['an expression with two results', /expressions\[0\].*leaves 2 values/, (h) => (h.program.expressions[0] = [1, 2])],
    [
      'an agreement of nothing',
      /agreements\[0\]\.right: 1000 is out of range/,
      (h) => (h.program.agreements = [{ left: 0, right: 1000, what: 'dot: extents', names: ['x', 'w'] }]),
    ],
    [
      'an agreement without names',
      /agreements\[0\]\.names/,
      (h) => (h.program.agreements = [{ left: 0, right: 0, what: 'dot: extents' }]),
    ],
    ['a symbol that is not there', /expressions\[0\]\[0\].*1 symbols/, (h) => (h.program.expressions[0] = ['s9'])],
    [
      'a constant of another size',
      /storage\.bytes: expected 24, received 20/,
      (h) => (h.program.values.find((v: Anything) => v.storage.bytes === 24).storage.bytes = 20),
    ],
    [
      'a step that writes to an input',
      /stored as 'input' and cannot be written/,
      (h) => (h.program.steps[0].outputs[0].value = h.program.inputs[0]),
    ],
    [
      'overlapping segments',
      /segments\[1\]\.begin/,
      (h) => h.program.segments.push({ backend: 'reference', begin: 0, end: 1 }),
    ],
    ['steps without a segment', /segments: cover 0 of/, (h) => (h.program.segments = [])],
    ['two inputs of one name', /outputs\[1\]\.name: 'y' occurs twice/, (h) => (h.outputs[1].name = 'y')],
    ['a view without strides', /view has dims and strides/, (h) => (h.program.steps[0].inputs[0].offset = 0)],
    [
      'a profile of an unknown input',
      /profiles\[0\]\.inputs\['z'\]/,
      (h) => (h.profiles[0].inputs.z = h.profiles[0].inputs.x),
    ],
    ['a profile upside down', /min ≤ opt ≤ max/, (h) => (h.profiles[0].inputs.x.max = [0, 3])],
    ['rank 13', /rank 13 exceeds/, (h) => (h.program.values[0].dims = new Array(13).fill(0))],
    [
      'two weights sections',
      /sections: a name occurs twice/,
      (h) => h.sections.unshift({ ...h.sections[0], bytes: 0 }),
    ],
    [
      'an operator that is not there',
      /layer 'dot_0'.*unknown operator 'dod'/,
      (h) => (h.program.steps[0].attributes.node = h.program.steps[0].attributes.node.replace('"dot"', '"dod"')),
    ],
    ['an operator that is no JSON', /layer 'dot_0'/, (h) => (h.program.steps[0].attributes.node = '{')],
    ['a kernel that is not there', /unknown kernel 'gemm'/, (h) => (h.program.steps[0].kernel = 'gemm')],
  ])('%s', async (_, message, change) => {
    const copy = structuredClone(header);
    change(copy);
    const error = await errorOf(withHeader(copy as unknown as Json));
    expect(error).toMatchObject({ code: 'ERR_INVALID_PLAN' });
    expect(String(error)).toMatch(message);
  });

  test('a backend that cannot be loaded is named, with what it needs', async () => {
    const copy = structuredClone(header) as Anything;
    copy.backends[0] = { name: 'abacus', version: '7.1', needs: ['beads'] };
    copy.program.segments[0].backend = 'abacus';
    const error = await errorOf(withHeader(copy));
    expect(error).toMatchObject({ code: 'ERR_BACKEND_UNAVAILABLE', details: { backend: 'abacus' } });
    expect(String(error)).toMatch(/needs backend 'abacus' 7\.1 \(beads\)/);
  });
});

describe('the file', () => {
  test('cut off anywhere', async () => {
    for (let length = 0; length < good.length; length += length < 64 ? 1 : 997) {
      const error = await errorOf(good.subarray(0, length));
      expect((error as TensorwrightError | undefined)?.code, `${length} bytes: ${String(error)}`).toBe(
        'ERR_INVALID_PLAN',
      );
    }
  });

  test('a file that ends early', async () => {
    const path = join(folder, 'short.plan');
    await writeFile(path, good.subarray(0, good.length - 1));
    await expect(Runtime.load(path)).rejects.toMatchObject({ code: 'ERR_INVALID_PLAN', details: { file: path } });
  });

  test('any byte of the head changed', async () => {
    const { headerBytes } = decodePlanPreamble(good, good.length, 'plan');
    for (let i = 0; i < planPreambleBytes + headerBytes; i++) {
      const copy = good.slice();
      copy[i]! ^= 1 << (i % 7);
      expect(await errorOf(copy), `byte ${i}`).toMatchObject({ code: 'ERR_INVALID_PLAN' });
    }
  }, 60_000);

  test('a header that is not the one that was written', async () => {
    const copy = Buffer.from(good);
    // A number that may be another one: the JSON stays what a header is.
    const at = copy.indexOf('"activationBytes":') + '"activationBytes":'.length;
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
    await expect(Runtime.load(copy)).rejects.toMatchObject({
      code: 'ERR_INVALID_PLAN',
      message: expect.stringContaining('the header is damaged: its checksum is crc32:') as string,
      details: { field: 'header' },
    });
  });

  test('any byte of the head changed, and signed', async () => {
    const { headerBytes } = decodePlanPreamble(good, good.length, 'plan');
    const end = planPreambleBytes + headerBytes;
    for (let i = planPreambleBytes; i < Math.min(end, planPreambleBytes + 4000); i++) {
      const copy = good.slice();
      copy[i]! ^= 1 << (i % 7);
      copy.set(planPreamble(copy.subarray(planPreambleBytes, end)));
      await survives(copy, `byte ${i}`);
    }
  }, 60_000);

  test('any byte of the weights changed', async () => {
    for (let i = sectionsOffset; i < good.length; i++) {
      const copy = good.slice();
      copy[i]! ^= 1;
      expect(await errorOf(copy)).toMatchObject({
        code: 'ERR_INVALID_PLAN',
        details: { field: 'sections.weights.digest' },
      });
    }
  });

  test("verify: 'none' trusts the weights", async () => {
    const copy = good.slice();
    copy[good.length - 1]! ^= 1;
    await (await Runtime.load(copy, { verify: 'none' })).close();
  });

  test('another format version', async () => {
    const copy = good.slice();
    copy[8] = 99;
    await expect(Runtime.load(copy)).rejects.toThrow(/plan format version 99, this runtime reads version 2/);
  });

  test('no such file', async () => {
    await expect(Runtime.load(join(folder, 'missing.plan'))).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
      details: { file: join(folder, 'missing.plan') },
    });
  });

  test('no plan at all', async () => {
    await expect(Runtime.load(42 as unknown as string)).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' });
  });
});
