/** How many of a folder's labelled test images a loaded plan classifies as they are labelled. */

import { readNumbers, Tensor } from '@tensorwright/core';
import type { Engine } from '@tensorwright/runtime';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

export interface Accuracy {
  readonly correct: number;
  readonly images: number;
}

/** `NAME.json` of a folder NAME: the images of NAME.images.f32 and NAME.labels.u8, those for training first. */
interface Description {
  readonly images: number;
  readonly shape: readonly number[];
  readonly train: number;
  readonly test: number;
}

/** Runs every image of the test split, the last ones of the folder, by itself. The engine has one input and one output. */
export async function testAccuracy(engine: Engine, folder: string): Promise<Accuracy> {
  const file = (ending: string): Promise<Buffer> => readFile(join(folder, `${basename(folder)}.${ending}`));
  const { images, shape, train, test } = JSON.parse((await file('json')).toString('utf8')) as Description;
  const pixels = new Float32Array(Uint8Array.from(await file('images.f32')).buffer);
  const labels = await file('labels.u8');
  const size = shape.reduce((p, d) => p * d, 1);
  if (train + test !== images || pixels.length !== images * size || labels.length !== images)
    throw new Error(`${folder}: its files do not have the ${String(images)} images that its description tells of`);
  const [input, output] = [engine.inputs[0]!.name, engine.outputs[0]!.name];
  await using context = engine.createContext();
  let correct = 0;
  for (let i = train; i < images; i++) {
    const image = new Tensor('float32', pixels.slice(i * size, (i + 1) * size), [1, ...shape]);
    const scores = readNumbers((await context.run({ [input]: image }))[output]!);
    const best = Array.from(scores).reduce((at, s, k) => (s > scores[at]! ? k : at), 0);
    if (best === labels[i]) correct++;
  }
  return { correct, images: test };
}
