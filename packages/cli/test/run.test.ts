import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuBackend } from '@tensorwright/backend-cpu';
import { referenceBackend } from '@tensorwright/backend-reference';
import { type Backend, registerBackend, type StepExecutor, Tensor } from '@tensorwright/core';
import { afterEach, describe, expect, it } from 'vitest';
import { digits, tensorwright } from './support/run-command.js';
import { json, reference, smallFiles } from './support/small-files.js';

const { folder, model: small } = smallFiles();

describe('run', () => {
  it('agrees with ONNX Runtime on the digits model', async () => {
    const { code, stdout } = await tensorwright([
      'run',
      digits,
      '--against',
      'onnxruntime',
      ...reference,
      '--json',
      '--shapes',
      'input:3x1x8x8',
    ]);
    expect(code).toBe(0);
    const report = json(stdout);
    expect(report).toMatchObject({ passed: true, outputs: [{ name: 'output', type: 'float32[3, 10]', passed: true }] });
    expect(report.against).toMatch(/^onnxruntime-node \d/);
    // Two implementations of float32 convolutions never agree to the last bit: the figure is a measured one.
    expect(report.outputs[0].nrms).toBeGreaterThan(0);
  });

  it('compares layer by layer', async () => {
    const { code, stdout } = await tensorwright([
      'run',
      small,
      '--layers',
      ...reference,
      '--json',
      '--shapes',
      'x:3x4',
    ]);
    expect(code).toBe(0);
    const { layers, firstDivergence } = json(stdout);
    expect(firstDivergence).toBeNull();
    expect(layers.map((l: any) => [l.node, l.operator, l.difference.name, l.difference.type, l.backend])).toEqual([
      ['first', 'MatMul', 'product', 'float32[3, 8]', 'reference'],
      ['bend', 'Relu', 'bent', 'float32[3, 8]', 'reference'],
      ['second', 'MatMul', 'sum', 'float32[3, 3]', 'reference'],
      ['shift', 'Add', 'y', 'float32[3, 3]', 'reference'],
    ]);
  });

  it('reads inputs from files', async () => {
    const raw = join(folder, 'x.raw');
    const proto = join(folder, 'x.pb');
    writeFileSync(raw, new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer));
    // TensorProto { dims: 1, 4; data_type: FLOAT; float_data: NaN × 4 }
    writeFileSync(
      proto,
      Uint8Array.of(8, 1, 8, 4, 16, 1, 34, 16, ...new Uint8Array(new Float32Array(4).fill(NaN).buffer)),
    );
    const fromRaw = await tensorwright([
      'run',
      small,
      ...reference,
      '--json',
      '--shapes',
      'x:2x4',
      '--load-inputs',
      `x:${raw}`,
    ]);
    expect(json(fromRaw.stdout).outputs[0].type).toBe('float32[2, 3]');
    const fromProto = await tensorwright([
      'run',
      small,
      ...reference,
      '--json',
      '--load-inputs',
      `x:${proto}`,
      '--against',
      'reference',
    ]);
    expect(json(fromProto.stdout).outputs[0]).toMatchObject({ type: 'float32[1, 3]', notFinite: 3 });
  });
});

describe.skipIf(cpuBackend.device() === undefined)('on the CPU backend', () => {
  it('every layer of the digits model agrees with ONNX Runtime', async () => {
    const { code, stdout } = await tensorwright([
      'run',
      digits,
      '--layers',
      '--against',
      'onnxruntime',
      '--json',
      '--level',
      '0',
      '--shapes',
      'input:2x1x8x8',
    ]);
    expect(code).toBe(0);
    const { layers, backends } = json(stdout);
    expect(Object.keys(backends)).toEqual(['cpu']);
    expect(layers.length).toBeGreaterThan(15);
    const convolutions = layers.filter((l: { operator: string }) => l.operator === 'Conv');
    expect(convolutions.map((l: { tactic?: string }) => l.tactic)).toEqual(
      Array<unknown>(8).fill(expect.stringMatching(/^cpu\.contraction/)),
    );
  });
});

describe('run, where a backend computes wrongly', () => {
  afterEach(() => registerBackend(referenceBackend));

  /** The reference backend with a mistake in every step that has this node. */
  function mistakenAt(origin: string): Backend {
    const spoil = (results: readonly unknown[]): Tensor[] =>
      (results as Tensor[]).map(
        (t) =>
          new Tensor(
            'float32',
            (t.data as Float32Array).map((v) => v * 1.01),
            t.dims,
          ),
      );
    return {
      ...referenceBackend,
      createExecutor(context): StepExecutor {
        const right = referenceBackend.createExecutor!(context);
        return {
          prepare: (step) => right.prepare?.(step),
          run: async (step, inputs, options) => {
            const results = await right.run(step, inputs, options);
            return step.layer.origins.includes(origin) ? spoil(results) : results;
          },
        };
      },
    };
  }

  it.each(['onnxruntime', 'reference'])(
    'names the first node that differs from %s, and ends with code 5',
    async (peer) => {
      registerBackend(mistakenAt('second'));
      const { code, stdout, stderr } = await tensorwright(['run', small, '--layers', '--against', peer, ...reference]);
      expect(code).toBe(5);
      expect(stdout).toMatch(
        /first divergence: tensor 'sum' of node 'second' \(MatMul\), on reference by .+\n {2}its inputs: 'bent' /,
      );
      expect(stdout).toMatch(/^y .*FAILED$/m);
      expect(stderr).toContain('error: 1 of 1 outputs differ');
    },
  );

  it('passes with a tolerance above the mistake', async () => {
    registerBackend(mistakenAt('second'));
    expect((await tensorwright(['run', small, ...reference, '--max-nrms', '0.5'])).code).toBe(0);
    expect((await tensorwright(['run', small, ...reference, '--max-nrms', '0.5', '--rtol', '1e-5'])).code).toBe(5);
  });
});
