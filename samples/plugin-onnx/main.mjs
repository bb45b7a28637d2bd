/** An ONNX model with an operator that ONNX does not have, parsed, built and run. */

import { Builder } from '@tensorwright/builder';
import { Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { pluginBackend, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { snake } from './snake.mjs';

export const model = join(import.meta.dirname, 'snake.onnx');

/** @returns the input and the output, row by row */
export async function main({ print = console.log } = {}) {
  // A registry of its own; PluginRegistry.global.register(snake) serves all models of the process.
  const plugins = new PluginRegistry().register(snake);
  const network = await OnnxParser.parseFile(model, { plugins });
  const plan = await new Builder().build(network);

  const engine = await Runtime.load(await plan.toBytes(), { backends: [pluginBackend(plugins)] });
  const context = engine.createContext();
  const input = [1, 2, 3, 4, -1, 0, 1, 0];
  const { y } = await context.run({ x: new Tensor('float32', Float32Array.from(input), [2, 4]) });
  const layers = engine.inspect().layers.map((layer) => layer.origins.join(' + ') || layer.kind);
  await context.close();
  await engine.close();
  const output = Array.from(y.data, Number);
  print(`layers  ${layers.join(', ')}`);
  print(`y       ${output.map((v) => v.toFixed(3)).join('  ')}`);
  return { input, output, layers };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
