import { describe, expect, it } from 'vitest';
import { tensorwright } from './support/run-command.js';
import { json, smallFiles } from './support/small-files.js';

const { model: small, plan } = smallFiles();

describe('inspect', () => {
  it('describes a model', async () => {
    const { code, stdout } = await tensorwright(['inspect', small]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^input +x float32\[batch, 4\]$/m);
    expect(stdout).toMatch(/^nodes +4: dot 2, add 1, relu 1$/m);
    expect(
      json((await tensorwright(['inspect', small, '--layers', '--json'])).stdout).nodes.map(
        (n: { origins: string[] }) => n.origins[0],
      ),
    ).toEqual(['first', 'bend', 'second', 'shift']);
  });

  it('describes a plan', async () => {
    const { code, stdout } = await tensorwright(['inspect', plan, '--layers']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^input +x float32\[batch, 4\] +1x4 … 2x4 … 8x4$/m);
    for (const name of ['first', 'bend', 'second', 'shift']) expect(stdout).toContain(name);
    const document = json((await tensorwright(['inspect', plan, '--json'])).stdout);
    expect(document).toMatchObject({
      schemaVersion: 1,
      command: 'inspect',
      kind: 'plan',
      backends: [{ name: 'reference' }],
    });
  });
});
