/** Command lines with mistakes: each is a sentence that names the file or the option, and nothing is lost by it. */

import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { tensorwright } from './support/run-command.js';
import { json, reference, smallFiles } from './support/small-files.js';
import { input, model, node, output, smallModel } from './support/small-model.js';

const { folder, model: small, plan } = smallFiles();
const at = (name: string): string => join(folder, name);
const once = ['--duration', '0', '--warm-up', '0', '--iterations', '1'];

beforeAll(() => {
  writeFileSync(at('empty.onnx'), '');
  writeFileSync(at('text.onnx'), 'hello world, this is text\n');
  writeFileSync(at('half.onnx'), smallModel().subarray(0, 100));
  writeFileSync(at('other.onnx'), model(node('Relu', 'n', ['a'], ['b']), input('a', [1]), output('b', [1])));
  execFileSync('mkfifo', [at('pipe')]);
});

async function refusal(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await tensorwright(words);
  // One sentence, and not where in our sources it was found.
  expect(stderr).toMatch(/^error: .*\n(\(.*\)\n)*$/);
  return { code, stdout, stderr };
}

describe('files', () => {
  it.each(['empty.onnx', 'text.onnx', 'half.onnx'])('that are no model are named: %s', async (name) => {
    for (const words of [['inspect'], ['run', '-q'], ['bench', '-q'], ['build', '-q', '-o', at('x.plan')]])
      expect(await refusal(...words, at(name))).toMatchObject({ code: 3, stderr: expect.stringContaining(name) });
    expect(await refusal('run', plan, '-q', '--model', at(name))).toMatchObject({
      code: 3,
      stderr: expect.stringContaining(name),
    });
  });

  it('that are pipes are not waited for', async () => {
    for (const words of [['inspect'], ['run'], ['bench'], ['build', '-o', at('x.plan')]])
      expect(await refusal(...words, at('pipe'))).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/pipe': it is no regular file/),
      });
  });

  it('that are cut off plans are named', async () => {
    const bytes = readFileSync(plan);
    for (const part of [0.01, 0.2, 0.5, 0.99]) {
      writeFileSync(at('cut.plan'), bytes.subarray(0, Math.max(8, Math.floor(bytes.length * part))));
      for (const words of [['inspect'], ['run'], ['bench']])
        expect(await refusal(...words, at('cut.plan'))).toMatchObject({
          code: 3,
          stderr: expect.stringContaining('cut.plan: '),
        });
    }
  });

  it('that are read are not written over, nor what is no file', async () => {
    const before = readFileSync(small);
    const build = (path: string): ReturnType<typeof refusal> => refusal('build', small, '-q', '-o', path, ...reference);
    expect(await build(small)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("small.onnx': it is the model"),
    });
    expect(readFileSync(small)).toEqual(before);
    expect(await build(at('pipe'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it is no regular file'),
    });
    expect(statSync(at('pipe')).isFIFO()).toBe(true);
    expect(await build('')).toMatchObject({ code: 1, stderr: expect.stringContaining('no name of a file') });
  });
});

describe('options', () => {
  it.each([
    ['build', ['--fp16', '--bf16'], "option '--fp16' cannot be used with option '--bf16'"],
    ['build', ['--shapes', 'x:1x4', '--max-shapes', 'x:2x4'], '--shapes fixes extents, and --min-shapes'],
    ['build', ['--shapes', 'x:1x5'], "--shapes: input 'x' is [batch, 4], which 1x5 does not fit"],
    ['build', ['--opt-shapes', 'x:4'], "--opt-shapes: input 'x' is [batch, 4], which 4 does not fit"],
    ['build', ['--timing-cache', () => small], "small.onnx' is no folder"],
    ['build', ['--min-shapes', 'y:1x4'], "--min-shapes: there is no input 'y'; inputs: x"],
    ['run', ['--min-shapes', 'y:1x4'], "--min-shapes: there is no input 'y'; inputs: x"],
    ['bench', ['--max-shapes', 'y:1x4'], "--max-shapes: there is no input 'y'; inputs: x"],
    ['run', ['--shapes', 'x:1x4', '--shapes', 'x:2x4'], '--shapes is given twice'],
    ['bench', ['--shapes', 'x:1x4', '--shapes', 'x:2x4'], '--shapes is given twice'],
    ['run', ['--load-inputs', () => `x:${small}`, '--load-inputs', 'x:b'], "--load-inputs: 'x' is given twice"],
    ['bench', ['--profile', '1', ...once], '--profile 1: the last profile is 0'],
  ] as const)('of %s: %j', async (command, words, message) => {
    const given = words.map((w) => (typeof w === 'string' ? w : w()));
    const written = command === 'build' ? ['-o', at('x.plan')] : [];
    const refused = await refusal(command, small, '-q', ...reference, ...written, ...given);
    expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  });

  it('of bench, where a plan has no profiles', async () => {
    expect((await tensorwright(['build', small, '-q', '-o', at('any.plan'), ...reference])).code).toBe(0);
    const refused = await refusal('bench', at('any.plan'), '-q', '--profile', '0', ...once);
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--profile 0: the plan has no profiles'),
    });
  });

  it('of run: the model of another plan', async () => {
    for (const against of ['auto', 'onnxruntime', 'reference'])
      expect(await refusal('run', plan, '--model', at('other.onnx'), '-q', '--against', against)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/other\.onnx' is not the model of the plan: its inputs are a; the plan's x/),
      });
  });

  it('may be given where they fit', async () => {
    const shapes = ['--min-shapes', 'x:1x4', '--max-shapes', 'x:8x4', '--shapes', 'x:3x4'];
    const { code, stdout } = await tensorwright(['run', small, '-q', '--json', ...reference, ...shapes]);
    expect({ code, outputs: json(stdout)['outputs'] }).toMatchObject({ code: 0, outputs: [{ type: 'float32[3, 3]' }] });
  });
});
