/** Definitions, registrations and calls that TypeScript would refuse: coded errors that name what is wrong. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor, TensorwrightError } from '@tensorwright/core';
import { type AnyPlugin, definePlugin, field, pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';

type Definition = Parameters<typeof definePlugin<['x'], ['y']>>[0];

const minimal = {
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }: { inputs: { x: object } }) => ({ y: x }),
  cpu: ({ x }: { x: Tensor }) => ({ y: x }),
} as never as Definition;

let defined = 0;
const define = (change: object): ReturnType<typeof definePlugin<['x'], ['y']>> =>
  definePlugin({ ...minimal, name: `Odd${String(defined++)}`, ...change });
const withCuda = (cuda: object): AnyPlugin => define({ cuda: { source: '', launches: () => [], ...cuda } });

function refusal(call: () => unknown): { code: string; message: string } {
  try {
    call();
  } catch (error) {
    if (TensorwrightError.is(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const node = { op: 'relu', inputs: ['x'], outputs: ['y'] };

describe('a definition with', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['nothing', () => definePlugin(undefined as never), /definePlugin: expected a specification, received undefined/],
    [
      'a default in place of a field',
      () => define({ fields: { a: 0.1 } }),
      /field 'a' must be made by field.int, field.float, /,
    ],
    [
      'the name of a kind',
      () => define({ fields: { a: 'float' } }),
      /field 'a' must be made by field.int, field.float, /,
    ],
    [
      'a maker of fields',
      () => define({ fields: { a: field.float } }),
      /field 'a' must be made by field.int, field.float, /,
    ],
    ['no field', () => define({ fields: { a: null } }), /field 'a' must be made by field.int, field.float, /],
    ['a kind that is none', () => define({ fields: { a: { kind: 'double' } } }), /field 'a' must be made by /],
    ['an output that may be omitted', () => define({ outputs: ['y?'] }), /output 'y\?': every output is there/],
    [
      'a dtype that is none',
      () => withCuda({ dtypes: ['fp16'] }),
      /cuda.dtypes: there is no dtype 'fp16'; known: float32/,
    ],
    ['one dtype', () => withCuda({ dtypes: 'float16' }), /cuda.dtypes must be a list of dtypes/],
    ['no dtypes', () => withCuda({ dtypes: [] }), /cuda.dtypes must be a list of dtypes/],
    ['no tactics', () => withCuda({ tactics: [] }), /cuda.tactics must be different names/],
    ['a tactic twice', () => withCuda({ tactics: ['a', 'a'] }), /cuda.tactics must be different names/],
    ['one tactic', () => withCuda({ tactics: 'a' }), /cuda.tactics must be different names/],
    ['no formats', () => withCuda({ formats: [] }), /cuda.formats must be a list of layouts/],
    ['one format', () => withCuda({ formats: { x: 'rows' } }), /cuda.formats must be a list of layouts/],
    [
      'a layout that is none',
      () => withCuda({ formats: [{ x: 'channelslast' }] }),
      /cuda.formats: there is no layout 'channelslast'; known: rows, channelsLast/,
    ],
    ['a count that is none', () => withCuda({ count: 5 }), /cuda.count must be a function/],
    ['bytes', () => withCuda({ workspaceBytes: 5 }), /cuda.workspaceBytes must be a function/],
    ['a text', () => withCuda({ epilogue: 'yes' }), /cuda.epilogue must be true or false/],
    ['one pattern', () => define({ patterns: { nodes: [node] } }), /patterns must be a list/],
    ['a pattern of nothing', () => define({ patterns: [{}] }), /pattern 0: it has no nodes/],
    [
      'a misspelt condition',
      () => define({ patterns: [{ nodes: [node], wen: () => true }] }),
      /has no 'wen'; known: name,/,
    ],
    ['a condition', () => define({ patterns: [{ nodes: [node], when: true }] }), /pattern 0: when must be a function/],
    ['fields', () => define({ patterns: [{ nodes: [node], fields: {} }] }), /pattern 0: fields must be a function/],
    ['one input', () => define({ patterns: [{ nodes: [{ ...node, inputs: 'x' }] }] }), /node 'relu': inputs must be/],
    [
      'a misspelt node',
      () => define({ patterns: [{ nodes: [{ ...node, input: [] }] }] }),
      /node 'relu' has no 'input'/,
    ],
  ])('%s', (_, call, message) => {
    expect(refusal(call)).toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
  });
});

describe('a registry', () => {
  it.each<[string, () => unknown, string, RegExp]>([
    [
      'takes plugins alone',
      () => new PluginRegistry().register(minimal as never),
      'ERR_INVALID_ARGUMENT',
      /register: expected what definePlugin gives/,
    ],
    [
      'takes no list of them',
      () => new PluginRegistry().register(undefined as never),
      'ERR_INVALID_ARGUMENT',
      /register: expected what definePlugin gives/,
    ],
    [
      'names a misspelt option',
      () => new PluginRegistry().register(define({}), { overide: true } as never),
      'ERR_INVALID_OPTION',
      /unknown option 'overide'; known: override/,
    ],
    [
      'names an option of another kind',
      () => new PluginRegistry().register(define({}), { override: 'yes' } as never),
      'ERR_INVALID_OPTION',
      /'override' must be true or false/,
    ],
    [
      'finds by name',
      () => new PluginRegistry().get('Odd0' as never),
      'ERR_INVALID_ARGUMENT',
      /get: expected \{ name, version\?, namespace\? \}/,
    ],
    [
      'asks registries alone',
      () => new PluginRegistry([] as never),
      'ERR_INVALID_ARGUMENT',
      /the parent must be a PluginRegistry/,
    ],
  ])('%s', (_, call, code, message) => {
    expect(refusal(call)).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('takes a release for newer than what came before it', () => {
    const registry = new PluginRegistry();
    for (const version of ['1.0.0-rc.2', '1.0.0', '1.0.0-rc.10', '0.9'])
      registry.register(define({ name: 'Pre', version }));
    expect(registry.get({ name: 'Pre' }).key.version).toBe('1.0.0');
    registry.unregister({ name: 'Pre', version: '1.0.0', namespace: '' });
    expect(registry.get({ name: 'Pre' }).key.version).toBe('1.0.0-rc.10');
  });
});

describe('a call', () => {
  const network = new NetworkDefinition();
  const x = network.addInput('x', 'float32', [2]);

  it('needs a network and inputs by name', () => {
    const plugin = define({});
    const expected = {
      code: 'ERR_INVALID_ARGUMENT',
      message: expect.stringMatching(/addTo takes a network and its inputs/),
    };
    expect(refusal(() => plugin.addTo({ x } as never, undefined as never))).toMatchObject(expected);
    expect(refusal(() => plugin.addTo(network, undefined as never))).toMatchObject(expected);
  });

  it('leaves the default where a field is undefined', () => {
    const seen: unknown[] = [];
    const lowered = definePlugin({
      name: 'OddLowered',
      fields: { factor: field.float(3) },
      inputs: ['x'],
      outputs: ['y'],
      lower: ({ inputs, fields }, layers) => {
        seen.push(fields.factor);
        return { y: layers.addUnary(inputs.x, 'neg') };
      },
    });
    lowered.addTo(network, { x }, { factor: undefined } as never);
    lowered.addTo(network, { x });
    expect(seen).toEqual([3, 3]);
  });

  it('has the list that it was given, whatever becomes of that', async () => {
    const seen: unknown[] = [];
    const plugin = define({
      fields: { list: field.ints() },
      cpu: ({ x: given }: { x: Tensor }, fields: { list: readonly number[] }) => {
        seen.push([...fields.list]);
        return { y: given };
      },
    });
    const made = new NetworkDefinition();
    const list = [1, 2];
    made.markOutput(plugin.addTo(made, { x: made.addInput('x', 'float32', [2]) }, { list }).y, 'y');
    list.push(3);
    const plan = await new Builder().build(made.toNetwork(), { backends: ['reference'] });
    const backends = [pluginBackend(new PluginRegistry().register(plugin))];
    await using engine = await Runtime.load(await plan.toBytes(), { backends });
    await using context = engine.createContext();
    await context.run({ x: new Tensor('float32', [1, 2]) });
    expect(seen).toEqual([[1, 2]]);
  });
});
