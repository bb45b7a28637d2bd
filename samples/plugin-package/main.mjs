/** What whoever installs the package writes. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { snake } from '@tensorwright/sample-plugin-package';
import { pathToFileURL } from 'node:url';

/** @returns the input and the output */
export async function main({ print = console.log } = {}) {
  const network = new NetworkDefinition('snake');
  const x = network.addInput('x', 'float32', ['n']);
  network.markOutput(snake.addTo(network, { x }, { a: 2 }).y, 'y');
  const plan = await new Builder().build(network.toNetwork());

  const engine = await Runtime.load(await plan.toBytes());
  const context = engine.createContext();
  const input = [-2, -1, 0, 1, 2];
  const { y } = await context.run({ x: new Tensor('float32', Float32Array.from(input), [input.length]) });
  await context.close();
  await engine.close();
  const output = Array.from(y.data, Number);
  print(`snake  ${output.map((v) => v.toFixed(3)).join('  ')}`);
  return { input, output };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
