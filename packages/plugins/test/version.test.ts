import { pluginBackend } from '@tensorwright/plugins';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('has the version of its package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(pluginBackend().version).toBe(version);
});
