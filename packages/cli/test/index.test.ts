import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { TensorwrightError as OfCore } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { Builder, OnnxParser, Runtime, Tensor, TensorwrightError } from '../src/index.js';
import { smallModel } from './support/small-model.js';

describe('the umbrella package', () => {
  it('has what it takes from model to results', async () => {
    const network = await OnnxParser.parse(smallModel());
    const plan = await new Builder().build(network, { backends: ['reference'] });
    const engine = await Runtime.load(plan);
    const { y } = await engine.createContext().run({ x: new Tensor('float32', [0, 0, 0, 0], [1, 4]) });
    // Zeros leave the bias alone.
    expect([...(y!.data as Float32Array)]).toEqual([1, -2, 3]);
    await engine.close();
  });

  it('re-exports the very classes of the other packages', () => {
    expect(TensorwrightError).toBe(OfCore);
  });

  it('names the program in package.json', () => {
    const manifest = createRequire(import.meta.url)('../package.json') as { bin: Record<string, string> };
    expect(manifest.bin).toEqual({ tensorwright: './bin/tensorwright.mjs' });
    // There before any build: npm does not link what is missing.
    expect(existsSync(join(import.meta.dirname, '..', manifest.bin['tensorwright']!))).toBe(true);
  });
});
