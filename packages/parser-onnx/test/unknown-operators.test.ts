/** Nodes that nothing stands for, and what is told of them. */

import { expect, it } from 'vitest';
import { onnx } from '../src/proto/decode.js';
import { FLOAT, INT64, modelBytes, node, refusal } from './support/handmade-model.js';

async function reasonsOf(domain: string, opset: number | undefined, opType = 'Nothing'): Promise<string> {
  const opsetImport = [{ domain: '', version: 17 }, ...(opset === undefined ? [] : [{ domain, version: opset }])];
  const nodes = [node('Relu', ['missing'], ['a']), node(opType, ['a'], ['y'], { domain })];
  const { code, message } = await refusal(modelBytes({ node: nodes }, { opsetImport }));
  expect(['ERR_UNSUPPORTED', 'ERR_INVALID_MODEL']).toContain(code);
  return message;
}

const problems: readonly (readonly [domain: string, opset: number | undefined, message: string])[] = [
  ['acme', 1, "the operator domain 'acme' is not known. Define the operator as"],
  ['acme', undefined, "the model imports no opset of the domain 'acme'. Define the operator as"],
  ['com.microsoft', 1, 'the operator is not known. Define the operator as'],
  ['com.microsoft', undefined, "the model imports no opset of the domain 'com.microsoft'"],
  ['com.microsoft', 9, 'opset 9 of com.microsoft is not known; the newest known one is 1'],
  ['ai.onnx.training', 1, 'the operator is not known'],
  ...['constructor', 'toString', '__proto__'].map((d) => [d, 1, `the operator domain '${d}' is not known`] as const),
];

// That what they read has failed too makes no difference.
it.each(problems)('of %s %s', async (domain, opset, message) => {
  expect(await reasonsOf(domain, opset)).toContain(message);
});

it('of names that every object has', async () => {
  for (const opType of ['constructor', 'has', '__proto__'])
    expect(await reasonsOf('com.microsoft', 1, opType)).toContain('the operator is not known');
});

it('of attributes with such names', async () => {
  const map = { name: 'x', type: { mapType: { keyType: INT64, valueType: { tensorType: { elemType: FLOAT } } } } };
  const { STRING } = onnx.AttributeProto.AttributeType;
  const attribute = [{ name: 'cast_to', type: STRING, s: new TextEncoder().encode('constructor') }];
  const bytes = modelBytes(
    { input: [map], node: [node('CastMap', ['x'], ['y'], { domain: 'ai.onnx.ml', attribute })] },
    { opsetImport: [{ domain: 'ai.onnx.ml', version: 3 }] },
  );
  expect((await refusal(bytes)).message).toContain('unknown cast_to');
});
