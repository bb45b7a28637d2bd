/** The formulas of the normalizing stock plugins against ONNX Runtime, and such a plugin in a model made for TensorRT. */

import { evaluateGraph, readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { PluginRegistry } from '@tensorwright/plugins';
import { registerStockPlugins } from '@tensorwright/plugins/stock';
import { describe, expect, it } from 'vitest';
import { onnx } from '../../parser-onnx/src/proto/decode.js';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import { modelBytes, node, tensorInfo } from '../../parser-onnx/test/support/handmade-model.js';
import { constant, type OneNode } from '../../parser-onnx/test/support/one-node-model.js';
import type { Operand, PluginCase, Problem } from '../src/plugins/case.js';
import { groupNormCase, instanceNormCase } from '../src/plugins/cases/channel-norms.js';
import { embLayerNormCase } from '../src/plugins/cases/emb-layer-norm.js';
import { skipLayerNormCase } from '../src/plugins/cases/skip-layer-norm.js';
import { Random } from '../src/plugins/random.js';

const problemsOf = (subject: PluginCase): Problem[] =>
  subject.problems(new Random(1)).filter((p) => !p.timed && Object.values(p.inputs).every((o) => !o.dims.includes(0)));

const floats = ({ values }: Pick<Operand, 'values'>, dims: readonly number[]): Tensor =>
  tensorFromNumbers('float32', values, dims);
const weights = (p: Problem, name: string): Tensor | undefined => {
  const t = p.fields[name] as Tensor | undefined;
  return t && new Tensor('float32', t.data as Float32Array, [t.size]);
};

function expectNear(got: Tensor | undefined, wanted: Float64Array | undefined, tolerance = 2e-5): void {
  expect(got!.size).toBe(wanted!.length);
  readNumbers(got!).forEach((v, i) => expect(Math.abs(v - wanted![i]!)).toBeLessThan(tolerance));
}

describe('the formula of CustomSkipLayerNormPluginDynamic', () => {
  it.each(problemsOf(skipLayerNormCase))("is ONNX Runtime's: $name", async (p) => {
    const [gamma, beta, bias] = ['gamma', 'beta', 'bias'].map((name) => weights(p, name));
    const rows = [1, p.inputs['input']!.values.length / gamma!.size, gamma!.size];
    const [y] = await runOrt({
      ...{ op: 'SkipLayerNormalization', domain: 'com.microsoft', attributes: { epsilon: { float: 1e-5 } } },
      inputs: [floats(p.inputs['input']!, rows), floats(p.inputs['skip']!, rows), gamma, beta, bias],
    });
    expectNear(y, skipLayerNormCase.reference(p)['output'], 2e-4);
  });
});

describe('the formula of CustomEmbLayerNormPluginDynamic', () => {
  /** [S, B] as [B, S]. */
  const turned = ({ values, dims: [length, batch] }: Operand): Tensor =>
    new Tensor(
      'int32',
      Int32Array.from(values, (_, i) => values[(i % length!) * batch! + Math.floor(i / length!)]!),
      [batch!, length!],
    );
  const known = problemsOf(embLayerNormCase).filter(({ name }) => name !== 'numbers of no row');

  it.each(known)("is ONNX Runtime's: $name", async ({ inputs, fields, ...rest }) => {
    const table = (name: string): OneNode['inputs'][number] => constant(fields[`bert_embeddings_${name}`] as Tensor);
    const { token_id, segment_id, input_mask } = inputs;
    const [y, lengths] = await runOrt({
      ...{ op: 'EmbedLayerNormalization', domain: 'com.microsoft', attributes: { epsilon: { float: 1e-5 } } },
      inputs: [
        ...[turned(token_id!), turned(segment_id!)],
        ...['word_embeddings', 'position_embeddings', 'token_type_embeddings'].map(table),
        ...['layernorm_gamma', 'layernorm_beta'].map(table),
        turned(input_mask!),
      ],
      outputs: ['float32', 'int32'],
    });
    const wanted = embLayerNormCase.reference({ inputs, fields, ...rest });
    const [length, batch] = token_id!.dims as [number, number];
    const size = wanted['embedded_input']!.length / length / batch;
    const rows = Float64Array.from(wanted['embedded_input']!, (_, at) => {
      const row = Math.floor(at / size);
      return wanted['embedded_input']![((row % length) * batch + Math.floor(row / length)) * size + (at % size)]!;
    });
    expectNear(y, rows);
    expectNear(lengths, wanted['maskIdx']);
  });
});

describe('the formulas of normalizations of channels', () => {
  it.each(problemsOf(groupNormCase))("are ONNX Runtime's: $name", async (p) => {
    const { input, scale, bias } = p.inputs;
    const [y] = await runOrt({
      ...{ op: 'GroupNormalization', opset: 21 },
      inputs: [input!, scale!, bias!].map((o) => floats(o, o.dims)),
      attributes: { epsilon: { float: p.fields['eps'] as number }, num_groups: p.fields['num_groups'] as number },
    });
    // Its variances of numbers far from zero are less exact.
    expectNear(y, groupNormCase.reference(p)['output'], 1e-3);
  });

  it.each(problemsOf(instanceNormCase).filter((p) => p.fields['relu'] === undefined))(
    "are ONNX Runtime's: $name",
    async (p) => {
      const input = p.inputs['input']!;
      const [y] = await runOrt({
        op: 'InstanceNormalization',
        inputs: [floats(input, input.dims), weights(p, 'scales'), weights(p, 'bias')],
        attributes: { epsilon: { float: 1e-5 } },
      });
      expectNear(y, instanceNormCase.reference(p)['output']);
    },
  );
});

it('a node of a model made for TensorRT becomes the plugin', async () => {
  const { TENSOR, FLOATS, INT, STRING } = onnx.AttributeProto.AttributeType;
  const [p] = problemsOf(skipLayerNormCase);
  const [gamma, beta, bias] = ['gamma', 'beta', 'bias'].map((name) => weights(p!, name)!);
  const tensor = (name: string, t: Tensor): onnx.AttributeProto.$Properties => ({
    ...{ name, type: TENSOR },
    t: { dims: [1, 1, t.size], dataType: 1, floatData: [...readNumbers(t)] },
  });
  const attribute = [
    ...[tensor('gamma', gamma!), tensor('beta', beta!)],
    { name: 'bias', type: FLOATS, floats: [...readNumbers(bias!)] },
    ...['type_id', 'ld'].map((name) => ({ name, type: INT, i: name === 'ld' ? gamma!.size : 0 })),
    { name: 'plugin_version', type: STRING, s: new TextEncoder().encode('1') },
  ];
  const call = node('CustomSkipLayerNormPluginDynamic', ['input', 'skip'], ['y'], { attribute });
  const dims = p!.inputs['input']!.dims;
  const registry = new PluginRegistry();
  registerStockPlugins(registry);
  const bytes = modelBytes({ node: [call], input: ['input', 'skip'].map((name) => tensorInfo(name, dims)) });
  const { graph } = await OnnxParser.parse(bytes, { plugins: registry });
  const [y] = evaluateGraph(graph, [floats(p!.inputs['input']!, dims), floats(p!.inputs['skip']!, dims)]);
  expectNear(y as Tensor, skipLayerNormCase.reference(p!)['output']);
});
