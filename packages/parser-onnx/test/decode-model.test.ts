import { finish } from '@tensorwright/core';
import { expect, it } from 'vitest';
import { decodeMessage, onnx } from '../src/proto/decode.js';
import { decodeModel } from '../src/proto/decode-model.js';
import { FLOAT, modelBytes, node } from './support/handmade-model.js';

const bytes = modelBytes({
  name: 'sliced',
  node: Array.from({ length: 50 }, (_, i) => node('Add', [`x${String(i)}`, 'w'], [`x${String(i + 1)}`])),
  initializer: Array.from({ length: 5 }, (_, i) => ({
    name: i === 0 ? 'w' : `w${String(i)}`,
    dims: [2],
    dataType: FLOAT,
    rawData: new Uint8Array(8).fill(i),
  })),
});

it.each([1, 40, 300, 1 << 20])('in slices of %i bytes gives what decoding at once gives', (slice) => {
  const whole = decodeMessage(onnx.ModelProto, bytes, 'model');
  const sliced = finish(decodeModel(bytes, 'model', 100, slice));
  expect(onnx.ModelProto.encode(sliced).finish()).toEqual(onnx.ModelProto.encode(whole).finish());
  expect(sliced.graph?.node).toHaveLength(50);
});

it('says of damaged bytes what decoding at once says', () => {
  for (const damaged of [bytes.subarray(0, bytes.length - 3), Uint8Array.of(7), new Uint8Array(0)]) {
    const outcome = (decode: () => unknown): unknown => {
      try {
        decode();
        return 'decoded';
      } catch (error) {
        return (error as Error).message;
      }
    };
    const sliced = outcome(() => finish(decodeModel(damaged, 'model', 100, 64)));
    expect(sliced).toBe(outcome(() => decodeMessage(onnx.ModelProto, damaged, 'model')));
  }
});
