/** A layer whose output is as long as the values say, and layers of the usual kind behind it. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { pathToFileURL } from 'node:url';
import { above } from './above.mjs';

/** @returns for each input, the square roots of what lies above 1 */
export async function main({ print = console.log } = {}) {
  const network = new NetworkDefinition('above');
  const x = network.addInput('x', 'float32', ['n']);
  const { kept } = above.addTo(network, { x }, { limit: 1 });
  network.markOutput(network.addUnary(kept, 'sqrt'), 'roots');
  const plan = await new Builder().build(network.toNetwork());

  const plugins = new PluginRegistry().register(above);
  const engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(plugins)] });
  const context = engine.createContext();
  const results = [];
  for (const input of [[4, -1, 9, 0.5], [1], [16]]) {
    const { roots } = await context.run({ x: new Tensor('float32', Float32Array.from(input), [input.length]) });
    results.push(Array.from(roots.data, Number));
    print(`${input.join(' ')}  →  ${results.at(-1).join(' ') || 'nothing'}`);
  }
  await context.close();
  await engine.close();
  return results;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
