/** Plugins that take the place of subgraphs. */

import { Builder, type Plan } from '@tensorwright/builder';
import { NetworkDefinition, type NetworkTensor, readNumbers, Tensor, tensorFromNumbers } from '@tensorwright/core';
import { definePlugin, field, pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';

const values = [-2, -0.5, 0, 0.5, 1, 3];
const x = tensorFromNumbers('float32', values, [2, 3]);

/** y = scale · tanh(x), and what went in. */
const scaledTanh = definePlugin({
  name: 'PatternTanh',
  fields: { scale: field.float(1) },
  inputs: ['x'],
  outputs: ['y', 'th'],
  infer: ({ inputs: { x: input }, fail }) => (input.dims.length > 3 ? fail('too deep') : { y: input, th: input }),
  cpu: ({ x: input }, { scale }) => {
    const th = (input.data as Float32Array).map(Math.tanh);
    return { y: th.map((v) => scale * v), th };
  },
  patterns: [
    {
      name: 'scaled tanh',
      nodes: [
        { op: 'tanh', inputs: ['x'], outputs: ['th'] },
        { op: 'mul', inputs: ['scale', 'th'], outputs: ['y'] },
      ],
      constants: { scale: (t) => t.dims.length === 0 },
      when: ({ tensors }) => tensors['x']!.dtype === 'float32',
      fields: ({ constants }) => ({ scale: readNumbers(constants['scale']!)[0]! }),
    },
  ],
});
const registry = new PluginRegistry().register(scaledTanh);

type Make = (n: NetworkDefinition, x: NetworkTensor, constant: (v: number) => NetworkTensor) => NetworkTensor[];

async function built(make: Make, plugins = registry, dims: readonly number[] = [2, 3]): Promise<Plan> {
  const n = new NetworkDefinition();
  const constant = (v: number): NetworkTensor => n.addConstant(tensorFromNumbers('float32', [v], []));
  make(n, n.addInput('x', 'float32', dims), constant).forEach((t, i) => {
    n.markOutput(t, `y${String(i)}`);
  });
  return new Builder().build(n.toNetwork(), { backends: ['cpu'], plugins });
}

async function answers(make: Make, plugins = registry): Promise<{ plan: Plan; results: number[][] }> {
  const plan = await built(make, plugins);
  await using engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(plugins)] });
  await using context = engine.createContext();
  const outputs = await context.run({ x });
  return { plan, results: Object.values(outputs).map((t) => [...readNumbers(t)]) };
}

/** That the plugins change nothing but who computes. */
async function same(make: Make, matches: number, plugins = registry): Promise<Plan> {
  const plain = await answers(make, new PluginRegistry());
  const { plan, results } = await answers(make, plugins);
  expect(plain.plan.header.report.patterns).toBeUndefined();
  expect(plan.header.report.patterns!.map((p) => p.matches)).toEqual([matches]);
  expect(plan.header.program.steps.filter((s) => s.layer.tactic === 'plugins')).toHaveLength(matches);
  results.forEach((r, i) => {
    r.forEach((v, k) => expect(v).toBeCloseTo(plain.results[i]![k]!, 5));
  });
  return plan;
}

describe('a pattern', () => {
  it('takes the place of every subgraph that it describes, operands in either order', async () => {
    const plan = await same((n, input, constant) => {
      const one = n.addElementWise(constant(3), n.addActivation(input, 'tanh'), 'prod', { name: 'first' });
      const two = n.addElementWise(n.addActivation(one, 'tanh'), constant(0.5), 'prod', { name: 'second' });
      return [n.addElementWise(two, input, 'sum')];
    }, 2);
    expect(plan.header.report.patterns).toEqual([{ plugin: 'PatternTanh 1', pattern: 'scaled tanh', matches: 2 }]);
    expect(plan.header.program.steps.flatMap((s) => s.layer.origins)).toEqual(
      expect.arrayContaining(['first', 'second']),
    );
  });

  it('does so in the body of a loop, and leaves both their names', async () => {
    const n = new NetworkDefinition();
    const { carried } = n.addLoop(
      { tripCount: n.addInput('trips', 'int64', []), carried: [n.addInput('x', 'float32', [2, 3])] },
      ({ carried: [v] }) => {
        const factor = n.addConstant(tensorFromNumbers('float32', [2], []));
        return { carried: [n.addElementWise(n.addActivation(v!, 'tanh'), factor, 'prod', { name: 'inner' })] };
      },
      { name: 'outer' },
    );
    n.markOutput(carried[0]!, 'y');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['reference'], plugins: registry });
    expect(plan.header.report.patterns![0]!.matches).toBe(1);
    expect(plan.header.program.steps.flatMap((s) => s.layer.origins)).toEqual(['outer']);
  });

  it('gives several outputs, of which others may read any', async () => {
    const plan = await same((n, input, constant) => {
      const th = n.addActivation(input, 'tanh');
      return [n.addElementWise(constant(2), th, 'prod'), n.addElementWise(th, th, 'sum'), th];
    }, 1);
    expect(plan.header.program.steps.some((s) => s.kernel.includes('tanh'))).toBe(false);
  });

  it('leaves alone what its conditions do not hold for', async () => {
    await same((n, input, constant) => {
      const row = n.addConstant(tensorFromNumbers('float32', [1, 2, 3], [3]));
      return [
        n.addElementWise(row, n.addActivation(input, 'tanh'), 'prod'),
        n.addElementWise(n.addActivation(input, 'tanh'), input, 'prod'),
        n.addElementWise(n.addActivation(input, 'sigmoid'), constant(2), 'prod'),
      ];
    }, 0);
  });

  it('is left where the plugin refuses, and in the log', async () => {
    const lines: string[] = [];
    const n = new NetworkDefinition();
    const input = n.addInput('x', 'float32', [1, 1, 2, 3]);
    const factor = n.addConstant(tensorFromNumbers('float32', [2], []));
    n.markOutput(n.addElementWise(n.addActivation(input, 'tanh'), factor, 'prod'), 'y');
    const logger = ({ message }: { message: string }): void => void lines.push(message);
    const plan = await new Builder().build(n.toNetwork(), { backends: ['cpu'], plugins: registry, logger });
    expect(plan.header.report.patterns![0]!.matches).toBe(0);
    expect(lines).toContainEqual(expect.stringMatching(/scaled tanh is left as it is: .*too deep/));
    expect(lines).toContain('plugin PatternTanh 1: scaled tanh matched 0 times');
  });

  it('names what is wrong with the fields that it gives', async () => {
    const wrong = definePlugin({
      name: 'PatternFields',
      inputs: ['x'],
      outputs: ['y'],
      lower: ({ inputs }) => ({ y: inputs.x }),
      patterns: [
        {
          nodes: [{ op: 'neg', inputs: ['x'], outputs: ['y'] }],
          fields: () => ({ factor: 1 }) as never,
        },
      ],
    });
    const plugins = new PluginRegistry().register(wrong);
    await expect(built((n, input) => [n.addUnary(input, 'neg')], plugins)).rejects.toMatchObject({
      code: 'ERR_PLUGIN',
      message: "plugin PatternFields 1: pattern 0: fields: plugin PatternFields 1 has no field 'factor'; it has none",
    });
  });

  it('keeps nodes that are read elsewhere, and does without outputs that it does not have', async () => {
    const softSign = definePlugin({
      name: 'PatternSoftSign',
      inputs: ['x', 'bias?'],
      outputs: ['count', 'y'],
      infer: ({ inputs: { x: input } }) => ({ y: input, count: { dtype: 'float32', dims: [] } }),
      cpu: ({ x: input, bias }) => {
        expect(bias).toBeUndefined();
        return { y: (input.data as Float32Array).map((v) => v / (1 + Math.abs(v))), count: Float32Array.of(1) };
      },
      patterns: [
        {
          nodes: [
            { op: 'abs', inputs: ['x'], outputs: ['size'] },
            { op: 'add', inputs: ['size', 'one'], outputs: ['below'] },
            { op: 'div', inputs: ['x', 'below'], outputs: ['y'] },
          ],
          constants: { one: 1 },
        },
      ],
    });
    const plugins = new PluginRegistry().register(softSign);
    await same(
      (n, input, constant) => {
        const size = n.addUnary(input, 'abs');
        const below = n.addElementWise(size, constant(1), 'sum');
        return [n.addElementWise(input, below, 'div'), n.addElementWise(size, input, 'sub'), below];
      },
      1,
      plugins,
    );
    await same(
      (n, input, constant) => [
        n.addElementWise(input, n.addElementWise(n.addUnary(input, 'abs'), constant(2), 'sum'), 'div'),
      ],
      0,
      plugins,
    );
  });

  it('stays in pieces where one output feeds another from outside', async () => {
    const pair = definePlugin({
      name: 'PatternPair',
      inputs: ['a', 'b'],
      outputs: ['p', 'q'],
      infer: ({ inputs: { a } }) => ({ p: a, q: a }),
      cpu: ({ a, b }) => ({
        p: (a.data as Float32Array).map(Math.exp),
        q: (a.data as Float32Array).map((v, i) => Math.exp(v) - (b.data as Float32Array)[i]!),
      }),
      patterns: [
        {
          nodes: [
            { op: 'exp', inputs: ['a'], outputs: ['p'] },
            { op: 'sub', inputs: ['p', 'b'], outputs: ['q'] },
          ],
        },
      ],
    });
    const plugins = new PluginRegistry().register(pair);
    // b is made of p.
    await same(
      (n, input) => {
        const p = n.addUnary(input, 'exp');
        return [n.addElementWise(p, n.addUnary(p, 'neg'), 'sub')];
      },
      0,
      plugins,
    );
    await same(
      (n, input) => {
        const p = n.addUnary(input, 'exp');
        return [n.addElementWise(p, n.addUnary(input, 'neg'), 'sub'), n.addUnary(p, 'neg')];
      },
      1,
      plugins,
    );
    // Each of two would wait for the other.
    await same(
      (n, input) => {
        const [p1, p2] = [n.addUnary(input, 'exp'), n.addUnary(n.addUnary(input, 'abs'), 'exp')];
        return [n.addElementWise(p1, n.addUnary(p2, 'neg'), 'sub'), n.addElementWise(p2, n.addUnary(p1, 'neg'), 'sub')];
      },
      1,
      plugins,
    );
  });

  it('may become layers, in bodies too', async () => {
    const doubled = definePlugin({
      name: 'PatternDouble',
      inputs: ['x'],
      outputs: ['y'],
      lower: ({ inputs: { x: input } }, network) => ({ y: network.addElementWise(input, input, 'sum') }),
      patterns: [
        { name: 'double', nodes: [{ op: 'mul', inputs: ['x', 'two'], outputs: ['y'] }], constants: { two: [2] } },
      ],
    });
    const plan = await built((n, input, constant) => {
      const two = constant(2);
      const condition = n.addConstant(new Tensor('bool', Uint8Array.of(1), []));
      return n.addIf(
        condition,
        [input, n.addElementWise(input, two, 'prod')],
        (a) => [n.addElementWise(a, n.addConstant(tensorFromNumbers('float32', [2], [])), 'prod')],
        (_, b) => [b],
      );
    }, new PluginRegistry().register(doubled));
    expect(plan.header.report.patterns).toEqual([{ plugin: 'PatternDouble 1', pattern: 'double', matches: 2 }]);
  });

  it.each([
    ['no nodes', { nodes: [] }, /has no nodes/],
    ['an operator that is none', { nodes: [{ op: 'sogmid', inputs: ['x'], outputs: ['y'] }] }, /no operator 'sogmid'/],
    ['an unknown tensor', { nodes: [{ op: 'add', inputs: ['x', 'z'], outputs: ['y'] }] }, /'z' is neither/],
    ['no output', { nodes: [{ op: 'neg', inputs: ['x'], outputs: ['z'] }] }, /gives an output/],
    [
      'parts',
      {
        nodes: [
          { op: 'neg', inputs: ['one'], outputs: ['z'] },
          { op: 'neg', inputs: ['x'], outputs: ['y'] },
        ],
        constants: { one: 1 },
      },
      /not connected/,
    ],
  ] as const)('with %s is refused', (_, pattern, message) => {
    const spec = { name: 'PatternWrong', inputs: ['x'], outputs: ['y'] } as const;
    expect(() => definePlugin({ ...spec, lower: ({ inputs }) => ({ y: inputs.x }), patterns: [pattern] })).toThrow(
      message,
    );
  });
});
