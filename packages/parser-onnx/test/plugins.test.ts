/** Nodes of models that plugins stand for. */

import { evaluateGraph, readNumbers, Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { definePlugin, field, PluginRegistry } from '@tensorwright/plugins';
import { expect, it } from 'vitest';
import { onnx } from '../src/proto/decode.js';
import { modelBytes, node, refusal } from './support/handmade-model.js';

const addend = definePlugin({
  name: 'AddSome',
  version: '2',
  namespace: 'acme',
  fields: { some: field.float(), twice: field.bool(false) },
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  cpu: ({ x }, { some, twice }) => ({ y: (x.data as Float32Array).map((v) => v + some * (twice ? 2 : 1)) }),
});
const plugins = new PluginRegistry().register(addend);

const { FLOAT, INT, STRING } = onnx.AttributeProto.AttributeType;
const float = (name: string, f: number): onnx.AttributeProto.$Properties => ({ name, type: FLOAT, f });
const int = (name: string, i: number): onnx.AttributeProto.$Properties => ({ name, type: INT, i });
const string = (name: string, s: string): onnx.AttributeProto.$Properties => ({
  name,
  type: STRING,
  s: new TextEncoder().encode(s),
});

const call = (domain: string, attribute: onnx.AttributeProto.$Properties[], opType = 'AddSome'): Uint8Array =>
  modelBytes({ node: [node(opType, ['x'], ['y'], { domain, attribute })] });

async function run(bytes: Uint8Array, registry = plugins): Promise<number[]> {
  const { graph } = await OnnxParser.parse(bytes, { plugins: registry });
  const [y] = evaluateGraph(graph, [new Tensor('float32', Float32Array.of(1, -2), [2])]);
  return [...readNumbers(y as Tensor)];
}

it.each([
  ['its namespace as domain', 'acme', []],
  ['any domain', 'trt.plugins', []],
  ["no domain, and the exporter's attributes", '', [string('plugin_version', '2'), string('plugin_namespace', 'acme')]],
])('a node with %s becomes the plugin', async (_, domain, more) => {
  expect(await run(call(domain, [float('some', 0.5), ...more]))).toEqual([1.5, -1.5]);
  expect(await run(call(domain, [float('some', 0.5), int('twice', 1), ...more]))).toEqual([2, -1]);
});

it('a built-in operator stays, unless the user overrides it', async () => {
  const negative = definePlugin({
    name: 'Relu',
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cpu: ({ x }) => ({ y: (x.data as Float32Array).map((v) => Math.min(v, 0)) }),
  });
  expect(await run(call('', [], 'Relu'), new PluginRegistry().register(negative))).toEqual([1, 0]);
  const overriding = new PluginRegistry().register(negative, { override: true });
  expect(await run(call('', [], 'Relu'), overriding)).toEqual([0, -2]);
});

it('a node becomes the layers of a plugin that is lowered to them', async () => {
  const lowered = definePlugin({
    name: 'AddSome',
    namespace: 'acme',
    fields: { some: field.float(0.25) },
    inputs: ['x'],
    outputs: ['y'],
    lower: ({ inputs: { x }, fields: { some }, fail }, network) => {
      if (some < 0) fail('some must not be negative');
      const c = network.addConstant(new Tensor(x.dtype, Float32Array.of(some), []));
      return { y: network.addElementWise(x, c, 'sum') };
    },
  });
  const registry = new PluginRegistry().register(lowered);
  expect(await run(call('acme', [float('some', 0.5)]), registry)).toEqual([1.5, -1.5]);
  const { graph, builder } = await OnnxParser.parse(call('acme', []), { plugins: registry });
  expect(graph.outputs[0]!.node.op).toBe('add');
  expect(builder.provenance.of(graph.outputs[0]!.node)).toEqual(['AddSome y']);
  expect((await refusal(call('acme', [float('some', -1)]), { plugins: registry })).message).toContain(
    'plugin acme::AddSome 1: some must not be negative',
  );
});

it('says what is wrong with a call', async () => {
  const message = async (bytes: Uint8Array): Promise<string> => (await refusal(bytes, { plugins })).message;
  expect(await message(call('acme', []))).toContain("plugin acme::AddSome 2 needs the attribute 'some'");
  expect(await message(call('acme', [int('some', 1)]))).toContain("attribute 'some' must be a float");
  expect(await message(call('acme', [float('some', 1), int('thrice', 1)]))).toContain(
    "attribute 'thrice' is no field of plugin acme::AddSome 2; its fields: some, twice",
  );
  expect(await message(call('acme', [float('some', 1)], 'AddSum'))).toContain(
    'Plugins of a similar name: acme::AddSome 2',
  );
  expect(await message(call('acme', [float('some', 1), string('plugin_version', '1')]))).toContain(
    "the model imports no opset of the domain 'acme'",
  );
});
