/** The templates compile without a warning, and their plugins compute; scripts/check-plugins.mjs builds them as their READMEs say. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { PluginLibrary, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasCompiler, LibraryFolder } from './support/compile-library.js';

const templates = join(import.meta.dirname, '..', '..', '..', 'templates');

describe.skipIf(!hasCompiler)('templates', () => {
  const folder = new LibraryFolder();
  afterAll(() => {
    folder.remove();
  });

  it.each(['plugin-cmake/my_plugin.cpp', 'plugin-npm/src/soft_sign.cpp'])(
    '%s',
    async (source) => {
      using library = PluginLibrary.load(folder.compile('template.so', join(templates, source)));
      const network = new NetworkDefinition();
      const x = network.addInput('x', 'float32', ['n']);
      network.markOutput(library.plugins[0]!.addTo(network, { x })['y']!, 'y');
      const plan = await new Builder().build(network.toNetwork(), { backends: ['cpu'] });
      await using engine = await Runtime.load(await plan.toBytes());
      await using context = engine.createContext();
      const { y } = await context.run({ x: new Tensor('float32', Float32Array.of(-1, 0, 3), [3]) });
      expect(y!.data).toEqual(Float32Array.of(-0.5, 0, 0.75));
    },
    60_000,
  );

  it('plugin-cmake takes the place of what computes the same', async () => {
    using library = PluginLibrary.load(folder.compile('again.so', join(templates, 'plugin-cmake/my_plugin.cpp')));
    const network = new NetworkDefinition();
    const x = network.addInput('x', 'float32', ['n']);
    const one = network.addConstant(new Tensor('float32', Float32Array.of(1), []));
    const sum = network.addElementWise(network.addUnary(x, 'abs'), one, 'sum');
    network.markOutput(network.addElementWise(x, sum, 'div'), 'y');
    const plugins = new PluginRegistry().register(library.plugins[0]!);
    const plan = await new Builder().build(network.toNetwork(), { backends: ['cpu'], plugins });
    expect(plan.header.report.patterns).toEqual([
      { plugin: 'mine::MySoftSign 1', pattern: 'x / (1 + |x|)', matches: 1 },
    ]);
  }, 60_000);
});
