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
