/** A network with a layer out of a C++ library, built into a plan and run: on the GPU where there is one. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const file = process.platform === 'win32' ? 'swiglu.dll' : 'swiglu.so';

/** @returns the input, the output, and the tactics of the engine's layers */
export async function main({ library: path = join(import.meta.dirname, 'build', file), print = console.log } = {}) {
  const library = PluginLibrary.load(path);
  const [swiglu] = library.plugins;
  try {
    const network = new NetworkDefinition('swiglu');
    const x = network.addInput('x', 'float32', ['rows', 8]);
    const { y } = swiglu.addTo(network, { x }, { limit: 2 });
    network.markOutput(y, 'y');
    const plan = await new Builder().build(network.toNetwork());

    const input = Float32Array.from({ length: 16 }, (_, i) => (i - 8) / 2);
    // A plan refers to the plugin by its name: the library has to be loaded first.
    const engine = await Runtime.load(await plan.toBytes());
    const context = engine.createContext();
    const result = await context.run({ x: new Tensor('float32', input, [2, 8]) });
    const tactics = engine.inspect().layers.map((layer) => layer.tactic);
    await context.close();
    await engine.close();
    print(`plugin  ${swiglu.title}`);
    print(`layers  ${tactics.join(', ')}`);
    print(`swiglu  ${Array.from(result.y.data, (v) => Number(v).toFixed(3)).join('  ')}`);
    return { input: [...input], output: Array.from(result.y.data, Number), dims: result.y.dims, tactics };
  } finally {
    library.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
