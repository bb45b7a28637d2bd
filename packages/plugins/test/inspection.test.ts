/** Which plugins a plan says that it calls: also in operators that are evaluated as a whole, bodies included. */

import { Builder } from '@tensorwright/builder';
import { type NetworkTensor, NetworkDefinition, operatorsIn } from '@tensorwright/core';
import { definePlugin, pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';

const negated = definePlugin({
  name: 'Inspected.Negation',
  namespace: 'acme',
  version: '1.2+b',
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  cpu: ({ x }) => ({ y: (x.data as Float32Array).map((v) => -v) }),
});
const registry = new PluginRegistry().register(negated);

describe('the inspection of an engine', () => {
  it('finds functions of plugins, in the bodies of loops that are evaluated too', async () => {
    const n = new NetworkDefinition();
    const x = n.addInput('x', 'float32', [2]);
    const call = (v: NetworkTensor): NetworkTensor => negated.addTo(n, { x: v }).y;
    const { carried } = n.addLoop(
      { tripCount: n.addInput('trips', 'int64', []), carried: [x] },
      ({ carried: [v] }) => ({ carried: [call(call(v!))] }),
    );
    n.markOutput(carried[0]!, 'looped');
    const text = n.addInput('text', 'string', [1]);
    n.markOutput(n.addOperator('regexFullMatch', [text], { pattern: '"op":"acme::None@1"' })[0]!, 'matched');
    const plan = await new Builder().build(n.toNetwork(), { backends: ['reference'], plugins: registry });
    await using engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(registry)] });
    expect(engine.inspect().plugins).toEqual([
      { plugin: 'acme::Inspected.Negation 1.2+b', code: 'function', backend: 'reference', layers: 2 },
    ]);
  });

  it('names the layer whose operator cannot be read', () => {
    const step = { kernel: 'evaluate', attributes: { node: '{' }, layer: { name: 'some layer' } };
    expect(() => operatorsIn(step as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_PLAN', message: expect.stringContaining('some layer') as string }),
    );
    expect(operatorsIn({ ...step, attributes: {} } as never)).toEqual([]);
  });
});
