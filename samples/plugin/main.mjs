/** A network with a layer of one's own, built into a plan and run: on the GPU where there is one. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { pathToFileURL } from 'node:url';
import { pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { mish } from './mish.mjs';

/** @returns the input, the output, and the tactics of the engine's layers */
export async function main({ print = console.log } = {}) {
  const network = new NetworkDefinition('mish');
  const x = network.addInput('x', 'float32', ['n']);
  const { y } = mish.addTo(network, { x }, { scale: 2 });
  network.markOutput(y, 'y');
  const plan = await new Builder().build(network.toNetwork());

  const input = Float32Array.from({ length: 9 }, (_, i) => i - 4);
  // Kernels are in the plan; the function for the processor has to be there when the plan is loaded.
  const plugins = new PluginRegistry().register(mish);
  const engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(plugins)] });
  const context = engine.createContext();
  const result = await context.run({ x: new Tensor('float32', input, [input.length]) });
  const tactics = engine.inspect().layers.map((layer) => layer.tactic);
  await context.close();
  await engine.close();
  print(`layers  ${tactics.join(', ')}`);
  print(`x       ${[...input].join('  ')}`);
  print(`2·mish  ${[...result.y.data].map((v) => v.toFixed(3)).join('  ')}`);
  return { input: [...input], output: [...result.y.data], tactics };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
