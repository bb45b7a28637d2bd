/** The two trained models of the zoo, from a plan file, on exactly the images they were not trained on. */

import { Builder } from '@tensorwright/builder';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { testAccuracy } from '../src/zoo/accuracy.js';

const zoo = resolve(import.meta.dirname, '../../../../shared/models');

describe.skipIf(!existsSync(join(zoo, 'digits')))('trained models', () => {
  test.each([
    ['digits_resnet', 360],
    ['digits_vit', 350],
  ])('%s', async (name, correct) => {
    const folder = await mkdtemp(join(tmpdir(), 'tensorwright-accuracy-'));
    try {
      const network = await OnnxParser.parseFile(join(zoo, `${name}.onnx`));
      const profiles = [Object.fromEntries(network.inputs.map((i) => [i.name, [1, 1, 8, 8]]))];
      const plan = await new Builder().build(network, { profiles, backends: ['cpu'], optimizationLevel: 1 });
      const path = join(folder, `${name}.plan`);
      await plan.save(path);
      await using engine = await Runtime.load(path);
      expect(await testAccuracy(engine, join(zoo, 'digits'))).toEqual({ correct, images: 360 });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
