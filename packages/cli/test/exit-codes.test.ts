import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tensorwright } from './support/run-command.js';
import { reference, smallFiles } from './support/small-files.js';
import { input, model, node, output, smallModel } from './support/small-model.js';

const { folder, model: small, plan } = smallFiles();

describe('exit codes', () => {
  it.each([
    ['nothing to do', [], 2],
    ['an unknown command', ['nope'], 2],
    ['an unknown option', ['build', 'm', '-o', 'p', '--levl', '3'], 2],
    ['a missing option', ['build', 'm'], 2],
    ['a level out of range', ['build', 'm', '-o', 'p', '--level', '6'], 2],
    ['an unknown tactic source', ['build', 'm', '-o', 'p', '--tactic-sources', 'cudnn,mkl'], 2],
    ['a missing file', ['inspect', '/nowhere.onnx'], 2],
    ['an unknown shell', ['completion', 'tcsh'], 2],
    ['an unknown peer', ['run', 'm', '--against', 'me'], 2],
    ['the version', ['--version'], 0],
    ['help', ['help', 'bench'], 0],
    ['help of an unknown command', ['help', 'nope'], 2],
  ])('%s', async (_, args, code) => {
    expect((await tensorwright(args)).code).toBe(code);
  });

  it.each([
    ['that is not there', () => join(folder, 'nowhere.onnx'), 'there is no such file'],
    ['that is a folder', () => folder, 'it is a folder'],
  ])('tells of a file %s', async (_, path, message) => {
    for (const command of [['inspect'], ['bench'], ['run'], ['build', '-o', plan]]) {
      const { code, stderr } = await tensorwright([...command, path()]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: `error: '${path()}': ${message}\n` });
    }
  });

  it('tells invalid models and unknown operators', async () => {
    const odd = join(folder, 'odd.onnx');
    writeFileSync(odd, model(node('Frobnicate', 'n', ['x'], ['y']), input('x', [1]), output('y', [1])));
    const { code, stderr } = await tensorwright(['inspect', odd]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/n \(Frobnicate, opset 17\).*ERR_UNSUPPORTED/s);
    const broken = join(folder, 'broken.onnx');
    writeFileSync(broken, smallModel().subarray(0, 50));
    expect((await tensorwright(['build', broken, '-o', plan])).code).toBe(3);
    expect((await tensorwright(['run', broken])).code).toBe(3);
  });

  it('tells backends that are not there', async () => {
    const { code, stderr } = await tensorwright(['build', small, '-o', plan, '--backends', 'abacus']);
    expect(code).toBe(4);
    expect(stderr).toContain("'abacus'");
  });

  it('tells options that the builder refuses', async () => {
    const { code, stderr } = await tensorwright(['build', small, '-o', plan, '--backends', 'reference,reference']);
    expect(code).toBe(2);
    expect(stderr).toContain("option 'backends' must be");
  });

  it('tells interrupts', async () => {
    const { code, stderr } = await tensorwright(['build', small, '-o', plan, ...reference], {
      signal: AbortSignal.abort(),
    });
    expect(code).toBe(130);
    expect(stderr).toContain('interrupted');
  });
});
