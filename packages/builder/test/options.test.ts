import { NetworkDefinition } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { Builder } from '../src/index.js';
import { type BuildOptions, checkOptions, type PrecisionOptions } from '../src/options.js';

describe('tacticSources', () => {
  it.each([[[]], [['cublasLt']], [['cudnn', 'cublasLt']]])('may be %j', (tacticSources) => {
    expect(() => checkOptions({ tacticSources } as BuildOptions)).not.toThrow();
  });

  it.each([['cublasLt'], [['cublas']], [[1]]])('may not be %j', (tacticSources) => {
    expect(() => checkOptions({ tacticSources } as unknown as BuildOptions)).toThrow(
      "Builder.build: option 'tacticSources' must be a list of libraries out of cublasLt, cudnn",
    );
  });
});

describe('precision', () => {
  it.each([{}, { fp16: true, roundingTolerance: 1e-2 }, { roundingTolerance: Infinity }, { keepFloat32: ['/head/*'] }])(
    'may be %j',
    (precision) => {
      expect(() => checkOptions({ precision })).not.toThrow();
    },
  );

  it.each([
    { roundingTolerance: 0 },
    { roundingTolerance: NaN },
    { roundingTolerance: '1' },
    { fp16: 1 },
    { fp8: true },
  ])('may not be %j', (precision) => {
    expect(() => checkOptions({ precision } as unknown as BuildOptions)).toThrow(
      /'precision' must be .*roundingTolerance \(a number above 0\), not '/,
    );
  });
});

describe('options', () => {
  it.each<[string, BuildOptions]>([
    ['no profiles', { profiles: [] }],
    ['one of two precisions', { precision: { fp16: true, bf16: false } }],
  ])('may be %s', (_, options) => {
    expect(() => checkOptions(options)).not.toThrow();
  });

  it.each<[string, BuildOptions, RegExp]>([
    ['a backend twice', { backends: ['cpu', 'reference', 'cpu'] }, /'backends' must be .* each once/],
    ['both precisions', { precision: { fp16: true, bf16: true } }, /'precision' must be fp16 or bf16, not both/],
    ['no time at all', { tacticTimeoutMs: 0 }, /'tacticTimeoutMs' must be milliseconds above 0/],
  ])('may not be %s', (_, options, message) => {
    expect(() => checkOptions(options)).toThrow(message);
  });
});

describe('a precision without effect', () => {
  const warnings = async (precision: PrecisionOptions): Promise<string[]> => {
    const network = new NetworkDefinition();
    network.markOutput(network.addSoftMax(network.addInput('x', 'float32', [4]), 0), 'y');
    const found: string[] = [];
    await new Builder().build(network.toNetwork(), {
      backends: ['reference'],
      precision,
      logger: ({ level, message }) => {
        if (level === 'warn') found.push(message);
      },
    });
    return found;
  };

  it.each<[PrecisionOptions, string[]]>([
    [{}, []],
    [{ fp16: true, keepFloat32: ['x'], roundingTolerance: 1 }, []],
    [{ keepFloat32: ['x'] }, ['precision.keepFloat32 has no effect without fp16, bf16 or tf32']],
    [{ roundingTolerance: 1 }, ['precision.roundingTolerance has no effect without fp16 or bf16']],
    [{ tf32: true, keepFloat32: ['x'] }, ['precision.tf32 has no effect: only backends of devices round so']],
  ])('%j is told of', async (precision, expected) => {
    expect(await warnings(precision)).toEqual(expected);
  });
});
