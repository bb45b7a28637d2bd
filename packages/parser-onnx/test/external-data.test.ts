import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, parse, relative, sep } from 'node:path';
import type { Network } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { afterAll, describe, expect, it } from 'vitest';
import { ExternalData } from '../src/external-data.js';
import { FLOAT, modelBytes, node, refusal } from './support/handmade-model.js';

describe('external data', () => {
  const root = mkdtempSync(join(tmpdir(), 'tensorwright-external-'));
  const folder = join(root, 'model');
  mkdirSync(join(folder, 'sub'), { recursive: true });
  writeFileSync(join(root, 'secret.bin'), new Uint8Array(8));
  writeFileSync(join(folder, 'good.bin'), new Uint8Array(new Float32Array([3, 4]).buffer));
  writeFileSync(join(folder, 'twice.bin'), new Uint8Array(8));
  linkSync(join(folder, 'twice.bin'), join(folder, 'other.bin'));
  symlinkSync(join(root, 'secret.bin'), join(folder, 'link.bin'));
  symlinkSync(root, join(folder, 'up'));
  afterAll(() => {
    rmSync(root, { recursive: true });
  });

  const externalModel = (entries: Record<string, string>): Uint8Array =>
    modelBytes({
      node: [node('Add', ['x', 'w'], ['y'])],
      initializer: [
        {
          name: 'w',
          dims: [2],
          dataType: FLOAT,
          dataLocation: 1,
          externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
        },
      ],
    });

  const constantOf = (network: Network): Float32Array =>
    (network.outputs[0]!.value.node.inputs[1]!.node.attributes['data'] as { tensor: { data: Float32Array } }).tensor
      .data;

  it('is read when it is asked for', async () => {
    writeFileSync(join(folder, 'model.onnx'), externalModel({ location: 'good.bin' }));
    const network = await OnnxParser.parseFile(join(folder, 'model.onnx'));
    expect([...constantOf(network)]).toEqual([3, 4]);
  });

  it('is read off the event loop too, and refused once it has changed', async () => {
    const path = join(folder, 'changing.bin');
    writeFileSync(path, new Uint8Array([1, 2, 3, 4]));
    const part = new ExternalData(folder).open({ location: 'changing.bin', offset: '1', length: '2' }, 2);
    expect(await part.load()).toEqual(new Uint8Array([2, 3]));
    expect(part.read()).toEqual(new Uint8Array([2, 3]));
    writeFileSync(path, new Uint8Array(12));
    await expect(part.load()).rejects.toMatchObject({ code: 'ERR_EXTERNAL_DATA' });
    expect(() => part.read()).toThrow(/has changed/);
    rmSync(path);
    await expect(part.load()).rejects.toThrow(/cannot be opened/);
  });

  it('may be a link to where the link of the model leads, as in caches of downloaded models', async () => {
    const [snapshot, blobs] = [join(root, 'snapshots/main'), join(root, 'blobs')];
    for (const made of [snapshot, blobs]) mkdirSync(made, { recursive: true });
    writeFileSync(join(blobs, 'c0ffee'), externalModel({ location: 'model.onnx_data' }));
    writeFileSync(join(blobs, 'decaf'), new Uint8Array(new Float32Array([5, 6]).buffer));
    const path = join(snapshot, 'model.onnx');
    symlinkSync('../../blobs/c0ffee', path);
    symlinkSync('../../blobs/decaf', join(snapshot, 'model.onnx_data'));
    const bytes = readFileSync(path);
    for (const network of [await OnnxParser.parseFile(path), await OnnxParser.parse(bytes, { path })])
      expect([...constantOf(network)]).toEqual([5, 6]);
    // Nothing says here where the model has come from.
    expect((await refusal(bytes, { externalDataFolder: snapshot })).message).toContain('leads out');
    const secret = join(snapshot, 'secret');
    symlinkSync(join(root, 'secret.bin'), secret);
    const thief = externalModel({ location: 'secret' });
    expect((await refusal(thief, { path })).message).toContain('leads out');
  });

  it('may lie anywhere below a root, and have a name that begins with two dots', () => {
    const bytes = new Uint8Array([1, 2]);
    writeFileSync(join(folder, '..data'), bytes);
    symlinkSync('..data', join(folder, '..link'));
    const own = realpathSync(folder);
    const top = parse(own).root;
    for (const [from, prefix] of [
      [own, ''],
      [top, relative(top, own) + sep],
    ] as const)
      for (const name of ['..data', '..link'])
        expect(new ExternalData(from).open({ location: prefix + name }, 2).read()).toEqual(bytes);
  });

  it.each([
    ['..', { location: '../secret.bin' }, "'..'"],
    ['.. in between', { location: 'sub/../../secret.bin' }, "'..'"],
    ['an absolute path', { location: join(root, 'secret.bin') }, 'relative path'],
    ['a symbolic link', { location: 'link.bin' }, 'leads out'],
    ['a link on the way', { location: 'up/secret.bin' }, 'leads out'],
    ['a hard link', { location: 'twice.bin' }, 'hard link'],
    ['a folder', { location: 'sub' }, 'not a regular file'],
    ['a missing file', { location: 'no.bin' }, 'there is no such file'],
    ['no location', {}, 'no location'],
    ['an offset past the end', { location: 'good.bin', offset: '4' }, 'has 8 bytes'],
    ['a length that does not fit', { location: 'good.bin', length: '4' }, 'needs 8 bytes'],
    ['a negative offset', { location: 'good.bin', offset: '-8' }, 'offset'],
  ])('refuses %s', async (_, entries, message) => {
    const error = await refusal(externalModel(entries), { externalDataFolder: folder });
    expect(error.code).toBe('ERR_EXTERNAL_DATA');
    expect(error.message).toContain(message);
  });

  it('needs a folder', async () => {
    expect((await refusal(externalModel({ location: 'good.bin' }))).message).toContain('externalDataFolder');
  });
});
