import { readFileSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { profilesFrom, resolveShapes, shapes } from '../src/options/shapes.js';
import { normaliseArguments } from '../src/options/trtexec-names.js';
import { durationIn, integerFrom, list, nonNegative, percentages } from '../src/options/values.js';
import { version } from '../src/version.js';

const image = { name: 'image', dims: ['batch', 3, 'height', 'width'] };
const mask = { name: 'mask', dims: ['batch', 'length'] };
const fixed = { name: 'fixed', dims: [2, 2] };

describe('shapes', () => {
  it('reads names, extents, scalars, and names with colons or quotes', () => {
    const [spec] = shapes("input:0:1x3x224x224,'b':scalar,c:7");
    expect([...spec!]).toEqual([
      ['input:0', [1, 3, 224, 224]],
      ['b', []],
      ['c', [7]],
    ]);
  });

  it('collects occurrences', () => {
    expect(shapes('a:2', shapes('a:1'))).toEqual([new Map([['a', [1]]]), new Map([['a', [2]]])]);
  });

  it.each(['', 'a', 'a:', ':1', 'a:1x', 'a:-1', 'a:1.5', 'a:1,a:2', 'a:1,,b:2'])('refuses %j', (text) => {
    expect(() => shapes(text)).toThrow(InvalidArgumentError);
  });
});

describe('profilesFrom', () => {
  it('makes nothing of nothing', () => {
    expect(profilesFrom({}, [image])).toBeUndefined();
  });

  it('takes one fixed profile per occurrence of --shapes', () => {
    expect(profilesFrom({ shapes: shapes('mask:2x9', shapes('mask:1x8')) }, [mask])).toEqual([
      { mask: [1, 8] },
      { mask: [2, 9] },
    ]);
  });

  it('joins ranges, lets * stand for dynamic inputs, and fills in what is not given', () => {
    const options = { minShapes: shapes('mask:1x1'), maxShapes: shapes('mask:8x512') };
    expect(profilesFrom(options, [mask])).toEqual([{ mask: { min: [1, 1], opt: [8, 512], max: [8, 512] } }]);
    expect(profilesFrom({ optShapes: shapes('*:4x64') }, [mask, fixed])).toEqual([
      { mask: { min: [4, 64], opt: [4, 64], max: [4, 64] } },
    ]);
  });

  it.each([
    [{ minShapes: shapes('mask:4x1'), maxShapes: shapes('mask:1x8') }, '4x1, 1x8, 1x8'],
    [{ minShapes: shapes('mask:1x1'), optShapes: shapes('mask:scalar') }, '1x1, scalar, scalar'],
  ])('refuses ranges that do not ascend: %#', (options, told) => {
    expect(() => profilesFrom(options, [{ name: 'mask', dims: undefined }])).toThrow(
      `input 'mask': --min-shapes, --opt-shapes and --max-shapes are ${told}, which do not ascend`,
    );
  });

  it('refuses a wildcard of another rank', () => {
    expect(() => profilesFrom({ optShapes: shapes('*:4x64') }, [mask, image])).toThrow(
      "'*' gives 2 extents, but input 'image' has 4",
    );
  });
});

describe('resolveShapes', () => {
  it('carries what one input says about a symbol to the others, and assumes 1 else', () => {
    const { dims, assumed } = resolveShapes([mask, image], shapes('mask:5x7')[0]);
    expect(Object.fromEntries(dims)).toEqual({ mask: [5, 7], image: [5, 3, 1, 1] });
    expect(assumed).toEqual(['height', 'width']);
  });

  it('prefers given shapes to the optimum', () => {
    const { dims } = resolveShapes([mask], shapes('mask:5x7')[0], new Map([['mask', [1, 1]]]));
    expect(dims.get('mask')).toEqual([5, 7]);
    expect(resolveShapes([mask], undefined, new Map([['mask', [3, 4]]])).dims.get('mask')).toEqual([3, 4]);
  });

  it.each([
    ['nope:1', "no input 'nope'; inputs: mask, fixed"],
    ['mask:1x2x3', "input 'mask' is [batch, length]"],
    ['fixed:2x3', "input 'fixed' is [2, 2]"],
  ])('refuses %s', (text, message) => {
    expect(() => resolveShapes([mask, fixed], shapes(text)[0])).toThrow(message);
  });

  it('asks for inputs of unknown rank', () => {
    expect(() => resolveShapes([{ name: 'a', dims: undefined }], undefined)).toThrow('--shapes a:');
  });
});

describe('values', () => {
  it('reads times with and without a unit', () => {
    expect(['200', '0.5s', '2min', '1h', '7ms'].map(durationIn('ms'))).toEqual([200, 500, 120_000, 3_600_000, 7]);
    expect(durationIn('s')('3')).toBe(3000);
    for (const bad of ['', '-1', '3 years', 's']) expect(() => durationIn('s')(bad)).toThrow(InvalidArgumentError);
  });

  it('bounds integers', () => {
    expect(integerFrom(0, 5)('5')).toBe(5);
    for (const bad of ['6', '-1', '1.0', '', '1e1', ' '])
      expect(() => integerFrom(0, 5)(bad)).toThrow(InvalidArgumentError);
  });

  it('reads numbers, lists and percentages', () => {
    expect(nonNegative('1e-4')).toBe(1e-4);
    expect(() => nonNegative('-1')).toThrow(InvalidArgumentError);
    expect(() => nonNegative('')).toThrow(InvalidArgumentError);
    expect(list('c', list('a, b'))).toEqual(['a', 'b', 'c']);
    expect(() => list('a,,b')).toThrow(InvalidArgumentError);
    expect(percentages('50,99.9')).toEqual([50, 99.9]);
    for (const bad of ['0', '101', 'x', '']) expect(() => percentages(bad)).toThrow(InvalidArgumentError);
  });
});

describe("trtexec's names", () => {
  it('become ours', () => {
    expect(
      normaliseArguments([
        'build',
        '--minShapes=aB:1x2',
        '--saveEngine=a.plan',
        '--warmUp',
        '5',
        '--infStreams=2',
        '--staticPlugins=a.so',
        '--bf16',
        '-o',
      ]),
    ).toEqual([
      'build',
      '--min-shapes=aB:1x2',
      '--output=a.plan',
      '--warm-up',
      '5',
      '--streams=2',
      '--plugins=a.so',
      '--bf16',
      '-o',
    ]);
  });

  it('leave what follows -- alone', () => {
    expect(normaliseArguments(['run', '--', '--modelFile'])).toEqual(['run', '--', '--modelFile']);
  });
});

it('has the version of the package', () => {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  expect(version).toBe(manifest.version);
});
