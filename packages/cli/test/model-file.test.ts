import { readFileSync } from 'node:fs';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { tensorsToMark } from '../src/compare/layers.js';
import { readModelFile, withOutputs } from '../src/onnx/model-file.js';
import { digits } from './support/run-command.js';
import { smallModel } from './support/small-model.js';

describe('readModelFile', () => {
  it('lists nodes and outputs', () => {
    const { nodes, outputs, hasExternalData } = readModelFile(smallModel(), 'm.onnx');
    expect(nodes.map((n) => [n.name, n.operator, n.inputs, n.outputs])).toEqual([
      ['first', 'MatMul', ['x', 'w'], ['product']],
      ['bend', 'Relu', ['product'], ['bent']],
      ['second', 'MatMul', ['bent', 'v'], ['sum']],
      ['shift', 'Add', ['sum', 'b'], ['y']],
    ]);
    expect(outputs).toEqual(['y']);
    expect(hasExternalData).toBe(false);
  });

  it('refuses what is no model', () => {
    expect(() => readModelFile(new Uint8Array(), 'm.onnx')).toThrow('m.onnx: the file is empty');
    expect(() => readModelFile(new TextEncoder().encode('# not a model'), 'm.onnx')).toThrow(
      /no valid protobuf|no graph/,
    );
    const bytes = smallModel();
    for (let length = 0; length < bytes.length; length += 7)
      expect(() => readModelFile(bytes.subarray(0, length), 'm.onnx')).toThrow();
  });
});

describe('tensorsToMark', () => {
  const file = readModelFile(smallModel(), 'm.onnx');

  it('takes tensors between nodes by pattern, never the outputs', () => {
    expect(tensorsToMark(file, ['*'])).toEqual(['product', 'bent', 'sum']);
    expect(tensorsToMark(file, ['b*t', 'sum'])).toEqual(['bent', 'sum']);
    expect(tensorsToMark(file, ['.*', 'y', 'ben'])).toEqual([]);
  });
});

describe('withOutputs', () => {
  it('gives ONNX Runtime the tensors between the nodes', async () => {
    const bytes = readFileSync(digits);
    const file = readModelFile(bytes, 'm.onnx');
    const marks = tensorsToMark(file, ['*']);
    expect(marks.length).toBeGreaterThan(15);
    const session = await InferenceSession.create(withOutputs(file, marks));
    expect(session.outputNames).toEqual([...file.outputs, ...marks]);
    const results = await session.run({ input: new Tensor('float32', new Float32Array(64).fill(0.5), [1, 1, 8, 8]) });
    expect(results[marks[0]!]!.dims[0]).toBe(1);
    await session.release();
  });

  it('gives our parser the same', async () => {
    const file = readModelFile(smallModel(), 'm.onnx');
    const network = await OnnxParser.parse(withOutputs(file, ['bent']));
    expect(network.outputs.map((o) => o.name)).toEqual(['y', 'bent']);
  });
});
