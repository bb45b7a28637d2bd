/** Locales of StringNormalizer as POSIX names them. */

import { TensorwrightError, Tensor } from '@tensorwright/core';
import { expect, it } from 'vitest';
import { runHere } from './support/against-onnxruntime.js';
import type { OneNode } from './support/one-node-model.js';

const upper = (locale: string): OneNode => ({
  op: 'StringNormalizer',
  opset: 10,
  inputs: [new Tensor('string', ['title'])],
  attributes: { case_change_action: 'UPPER', locale },
  outputs: ['string'],
});

it.each([
  ['en_US', 'TITLE'],
  ['en_US.UTF-8', 'TITLE'],
  ['C', 'TITLE'],
  ['', 'TITLE'],
  ['tr_TR.UTF-8@turkish', 'TİTLE'],
])('%s', async (locale, want) => {
  expect((await runHere(upper(locale)))[0]!.data).toEqual([want]);
});

it('names one that there is none of', async () => {
  const failure = await runHere(upper('no locale')).catch((error: unknown) => error);
  expect(TensorwrightError.is(failure) && failure.message).toContain("attribute 'locale' names no locale: 'no locale'");
});
