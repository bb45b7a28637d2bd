/** The sample's package gives its layer to whoever imports it. */

import { PluginRegistry } from '@tensorwright/plugins';
import { expect, test } from 'vitest';
import { main } from '../main.mjs';

test('computes the activation', async () => {
  const lines: string[] = [];
  const { input, output } = await main({ print: (line: string) => void lines.push(line) });
  output.forEach((v: number, i: number) => {
    expect(v).toBeCloseTo(input[i]! + Math.sin(2 * input[i]!) ** 2 / 2, 5);
  });
  expect(lines).toHaveLength(1);
  expect(PluginRegistry.global.get({ name: 'Snake', namespace: 'samples.package' }).title).toBe(
    'samples.package::Snake 1',
  );
}, 120_000);
