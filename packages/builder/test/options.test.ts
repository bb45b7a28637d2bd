import { describe, expect, it } from 'vitest';
import { type BuildOptions, checkOptions } from '../src/options.js';

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
