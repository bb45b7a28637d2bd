/** The sample's model computes what its three nodes say, and is refused without the plugin. */

import { OnnxParser } from '@tensorwright/parser-onnx';
import { PluginRegistry } from '@tensorwright/plugins';
import { expect, test } from 'vitest';
import { main, model } from '../main.mjs';

/** Relu(Snake(x · W)) with a = 2, where W[i][j] = (i - j) / 4. */
function expected(row: readonly number[]): number[] {
  return [0, 1, 2].map((j) => {
    const product = row.reduce((sum, v, i) => sum + (v * (i - j)) / 4, 0);
    return Math.max(0, product + Math.sin(2 * product) ** 2 / 2);
  });
}

test('runs the model', async () => {
  const lines: string[] = [];
  const { input, output } = await main({ print: (line: string) => void lines.push(line) });
  const right = [...expected(input.slice(0, 4)), ...expected(input.slice(4))];
  right.forEach((v, i) => {
    expect(output[i]).toBeCloseTo(v, 5);
  });
  expect(lines).toHaveLength(2);
}, 120_000);

test('needs the plugin', async () => {
  await expect(OnnxParser.parseFile(model, { plugins: new PluginRegistry() })).rejects.toThrow(/Snake/);
});
