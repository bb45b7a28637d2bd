import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { tensorwright } from './support/run-command.js';
import { json, reference, smallFiles } from './support/small-files.js';

const { folder, model: small } = smallFiles();

describe('build', () => {
  it('writes a plan and says what it is', async () => {
    const path = join(folder, 'told.plan');
    const { code, stdout, stderr } = await tensorwright(['build', small, '-o', path, ...reference, '--json']);
    expect(code).toBe(0);
    expect(existsSync(path)).toBe(true);
    expect(json(stdout)).toMatchObject({
      schemaVersion: 1,
      command: 'build',
      plan: path,
      outputs: [{ name: 'y', type: 'float32[batch, 3]' }],
      fallbacks: [],
    });
    expect(stderr).toMatch(/^building: \w+\n/);
  });

  it('is silent with --quiet', async () => {
    expect((await tensorwright(['build', small, '-o', join(folder, 'q.plan'), ...reference, '-q'])).stderr).toBe('');
  });

  it("takes trtexec's names", async () => {
    const path = join(folder, 'trtexec.plan');
    const { code } = await tensorwright([
      'build',
      small,
      `--saveEngine=${path}`,
      '--optShapes=x:2x4',
      '--builderOptimizationLevel=0',
      ...reference,
      '-q',
    ]);
    expect(code).toBe(0);
    const { inputs } = json((await tensorwright(['inspect', path, '--json'])).stdout);
    expect(inputs[0].profiles).toEqual([{ min: [2, 4], opt: [2, 4], max: [2, 4] }]);
  });

  it('warns of names of nodes that are none', async () => {
    const path = join(folder, 'kept.plan');
    const kept = ['--bf16', '--keep-float32', 'sec*,thrid', ...reference];
    const { code, stderr } = await tensorwright(['build', small, '-o', path, ...kept]);
    expect({ code, warnings: stderr.match(/^warning: .*$/gm) }).toEqual({
      code: 0,
      warnings: ["warning: --keep-float32: no node matches 'thrid'"],
    });
  });

  it('finds out before building that the plan cannot be written', async () => {
    const { code, stderr } = await tensorwright(['build', small, '-o', join(folder, 'nowhere/small.plan')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: cannot write .* there is no folder/);
  });
});

describe('--device', () => {
  const visible = process.env['CUDA_VISIBLE_DEVICES'];
  afterEach(() => {
    if (visible === undefined) delete process.env['CUDA_VISIBLE_DEVICES'];
    else process.env['CUDA_VISIBLE_DEVICES'] = visible;
  });
  const build = (...words: string[]): ReturnType<typeof tensorwright> =>
    tensorwright(['build', small, '-o', join(folder, 'device.plan'), ...words]);

  it('is of no use without the backend', async () => {
    const { code, stderr } = await build('--device', '0', ...reference);
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("'reference' has no cuda") });
  });

  it('counts among the devices that the environment names', async () => {
    process.env['CUDA_VISIBLE_DEVICES'] = '5,7';
    const { code, stderr } = await build('--device', '2');
    const message = 'there is no device 2 among CUDA_VISIBLE_DEVICES=5,7';
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  });

  it('chooses what the driver sees', async () => {
    process.env['CUDA_VISIBLE_DEVICES'] = '5,7';
    const { code, stderr } = await build('--device', '1', '--quiet');
    expect(process.env['CUDA_VISIBLE_DEVICES']).toBe('7');
    // Where there is no NVIDIA GPU, it says so instead of building for the processor.
    if (code !== 0)
      expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringContaining('--device 1: ') });
  });
});
