/** Predicted rounding errors against errors measured beside ONNX Runtime in float32, and what is kept because of them. */

import { GraphBuilder, type LogRecord, readNumbers, Tensor, tensorType } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { Builder, type PrecisionOptions } from '../src/index.js';
import {
  mapSamples,
  type Moments,
  momentsOf,
  momentsOfSamples,
  relativeError,
  samplesOf,
} from '../src/passes/numbers/rounding/moments.js';
import { ModelWriter } from './support/model-writer.js';
import { numbers } from './support/whole-path.js';

describe('moments through a map', () => {
  const through = (op: string, mean: number, deviation: number, attributes = {}): Moments => {
    const builder = new GraphBuilder();
    const y = builder.op(op, [builder.input('x', tensorType('float32', [1, 1]))], attributes);
    const x = momentsOf(1, () => [mean, deviation ** 2, 1e-6, 1e-6]);
    return momentsOfSamples(x, mapSamples(y.node, [samplesOf(x)])!)!;
  };

  test('half of a normal distribution is left by relu', () => {
    const y = through('relu', 0, 2);
    // Of a half-normal distribution with the other half at 0: σ/√(2π) and σ²/2 - σ²/(2π).
    expect(y.mean[0]).toBeCloseTo(2 / Math.sqrt(2 * Math.PI), 1);
    expect(y.spread[0]! / (2 - 2 / Math.PI)).toBeCloseTo(1, 1);
    // Half of the errors go through; of what was common to all, a quarter still is.
    expect(y.own[0]! / 0.75e-6).toBeCloseTo(1, 1);
    expect(y.common[0]! / 0.25e-6).toBeCloseTo(1, 1);
  });

  test('a function of numbers that hardly differ is its slope', () => {
    const y = through('sigmoid', 1, 1e-3);
    const slope = 1 / (1 + Math.exp(-1)) / (1 + Math.exp(1));
    expect(y.mean[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 4);
    expect(y.common[0]! / 1e-6 / slope ** 2).toBeCloseTo(1, 2);
  });

  test('what is infinite is not told', () => {
    const builder = new GraphBuilder();
    const y = builder.op('reciprocal', [builder.input('x', tensorType('float32', [1, 1]))]);
    expect(
      momentsOfSamples(
        momentsOf(1, () => [0, 1, 0, 0]),
        mapSamples(y.node, [new Tensor('float32', new Float32Array(48), [1, 48])])!,
      ),
    ).toBeUndefined();
  });

  test('an error is told over the deviation of all channels together', () => {
    const m = momentsOf(2, (i) => [i === 0 ? -1 : 1, 3, 4e-6, 12e-6]);
    expect(relativeError(m)).toBeCloseTo(Math.sqrt(16e-6 / 4), 9);
  });
});

const dims = [1, 3, 24, 24];

/** Inverted bottlenecks with squeeze and excite whose numbers grow, and a wide head behind a cut at 6. */
function detector(): Uint8Array {
  const m = new ModelWriter();
  let seed = 1;
  const conv = (x: string, from: number, to: number, kernel: number, gain: number, group = 1): string => {
    const depth = (from / group) * kernel * kernel;
    const w = m.weight(numbers([to, from / group, kernel, kernel], seed++, gain * Math.sqrt(3 / depth)));
    const pad = (kernel - 1) / 2;
    const b = m.weight(numbers([to], seed++, 0.1));
    return m.node('Conv', [x, w, b], { pads: [pad, pad, pad, pad], group });
  };
  let x = m.node('HardSwish', [conv(m.input('x', 'float32', dims), 3, 16, 3, 1.5)]);
  for (let block = 0; block < 10; block++) {
    let y = m.node('Relu', [conv(x, 16, 48, 1, 1.4)]);
    y = m.node('HardSwish', [conv(y, 48, 48, 3, 1.4, 48)]);
    if (block % 3 === 0) {
      const pooled = m.node('Relu', [conv(m.node('GlobalAveragePool', [y]), 48, 12, 1, 1)]);
      y = m.node('Mul', [y, m.node('HardSigmoid', [conv(pooled, 12, 48, 1, 1)], { alpha: { float: 1 / 6 } })]);
    }
    y = conv(y, 48, 16, 1, 2);
    x = block % 2 === 0 ? y : m.node('Add', [x, y]);
  }
  const bounds = [0, 6].map((v) => m.weight(new Tensor('float32', [v], [])));
  let head = m.node('Clip', [conv(x, 16, 64, 3, 1.5), ...bounds]);
  head = m.node('Relu', [conv(head, 64, 64, 3, 1.4)]);
  return m.output(conv(head, 64, 24, 1, 1), 'float32', [1, 24, 24, 24]).bytes(17);
}

interface Measured {
  readonly error: number;
  readonly records: readonly LogRecord[];
}

describe('a detection head in 16 bits', () => {
  const model = detector();
  const feeds = { x: numbers(dims, 77) };
  let wanted: readonly number[] = [];

  beforeAll(async () => {
    const session = await InferenceSession.create(model, { logSeverityLevel: 4 });
    const results = await session.run({ x: new OrtTensor('float32', feeds.x.data, dims) });
    wanted = Array.from(Object.values(results)[0]!.data as Float32Array);
    await session.release();
  });

  async function measure(precision: PrecisionOptions): Promise<Measured> {
    const records: LogRecord[] = [];
    const plan = await new Builder().build(await OnnxParser.parse(model), {
      backends: ['cpu'],
      optimizationLevel: 0,
      precision,
      logger: (r) => records.push(r),
    });
    await using engine = await Runtime.load(await plan.toBytes());
    await using context = engine.createContext();
    const got = readNumbers(Object.values(await context.run(feeds))[0]!);
    const mean = wanted.reduce((s, v) => s + v, 0) / wanted.length;
    const power = wanted.reduce((s, v) => s + (v - mean) ** 2, 0);
    const error = Math.sqrt(wanted.reduce((s, v, i) => s + (got[i]! - v) ** 2, 0) / power);
    return { error, records: records.filter((r) => 'before' in (r.data ?? {})) };
  }

  test.each([
    ['fp16', 'float16', 1.5],
    ['bf16', 'bfloat16', 1.5],
    ['fp16', 'float16', 3],
    ['bf16', 'bfloat16', 3],
  ] as const)(
    '%s: the prediction is the error that is measured, and %s beside float32 lowers it by %d',
    async (name, dtype, factor) => {
      const all = await measure({ [name]: true, roundingTolerance: Infinity });
      expect(all.records).toEqual([]);
      const tolerance = all.error / factor;
      const held = await measure({ [name]: true, roundingTolerance: tolerance });
      const [record] = held.records;
      const { before, after, contractions } = record!.data as { before: number; after: number; contractions: string[] };
      expect(record!.message).toContain(`all in ${dtype}`);
      expect(before / all.error).toBeGreaterThan(0.7);
      expect(before / all.error).toBeLessThan(1.4);
      expect(held.error).toBeLessThan(tolerance);
      expect(after / held.error).toBeGreaterThan(0.7);
      expect(after / held.error).toBeLessThan(1.4);
      expect(contractions.length).toBeGreaterThan(0);
      expect(contractions[0]).toBe('n0');
    },
    30_000,
  );

  test('contractions that the user keeps count as such', async () => {
    const { error, records } = await measure({ bf16: true, keepFloat32: ['*'] });
    expect(records).toEqual([]);
    expect(error).toBeLessThan(1e-5);
  });

  test('nothing is kept where most contractions are not enough, and the log says so', async () => {
    const { records } = await measure({ bf16: true, roundingTolerance: 1e-4 });
    expect(records.map((r) => r.message)).toEqual([expect.stringContaining('would not bring it to 1.0e-4')]);
    expect((records[0]!.data as { contractions: string[] }).contractions).toEqual([]);
  });
});
