import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuBackend } from '@tensorwright/backend-cpu';
import { referenceBackend } from '@tensorwright/backend-reference';
import {
  type Backend,
  decodePlanPreamble,
  type PlanHeader,
  type PlanReport,
  planPreamble,
  planPreambleBytes,
  planSectionAlignment,
  registerBackend,
  type StepExecutor,
  Tensor,
} from '@tensorwright/core';
import { afterEach, describe, expect, it } from 'vitest';
import { writeNpy } from '../src/models/npy.js';
import { digits, tensorwright } from './support/run-command.js';
import { json, reference, smallFiles } from './support/small-files.js';

const { folder, model: small, plan } = smallFiles();

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

describe('run, with files', () => {
  const npy = (name: string, tensor: Tensor): string => {
    const path = join(folder, name);
    writeFileSync(path, writeNpy(tensor));
    return path;
  };
  const x = new Tensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), [2, 4]);

  it('saves what went in and came out, and compares with it', async () => {
    const [input, saved] = [npy('in.npy', x), join(folder, 'saved')];
    const given = ['--load-inputs', `x:${input}`];
    const first = await tensorwright(['run', small, ...reference, ...given, '--save-outputs', saved, '--json']);
    expect(json(first.stdout)).toMatchObject({ passed: true, saved: { outputs: { y: join(saved, 'y.npy') } } });
    const again = ['run', small, ...reference, '--load-outputs', `y:${join(saved, 'y.npy')}`, '--json'];
    expect(json((await tensorwright([...again, ...given])).stdout)).toMatchObject({ passed: true, against: 'files' });
    // Other inputs, other outputs.
    const other = await tensorwright([
      ...again,
      '--load-inputs',
      `x:${npy('zero.npy', Tensor.zeros('float32', [2, 4]))}`,
    ]);
    expect({ code: other.code, passed: json(other.stdout)['passed'] }).toEqual({ code: 5, passed: false });
  });

  it.each([
    [['--load-outputs', 'y:y.npy', '--against', 'reference'], '--load-outputs compares with files, and --against with'],
    [['--load-outputs', 'y:y.npy', '--layers'], '--layers compares with another implementation'],
    [['--atol', '1', '--against', 'none'], '--atol has nothing to tolerate'],
    [['--model', 'm.onnx'], "--model goes with a plan, and 'small.onnx' is none"],
  ])('refuses %j together', async (words, message) => {
    const { code, stderr } = await tensorwright(['run', small, ...reference, ...words]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
  });

  it('runs without comparing', async () => {
    const { code, stdout } = await tensorwright(['run', small, ...reference, '--against', 'none', '--json']);
    expect({ code, report: json(stdout) }).toMatchObject({
      code: 0,
      report: { against: null, outputs: [{ name: 'y' }] },
    });
    expect(json(stdout)).not.toHaveProperty('passed');
    const text = await tensorwright(['run', small, ...reference, '--against', 'none']);
    expect(text.stdout).toMatch(/^output +type +min +max +mean +not finite\ny +float32\[1, 3\] /m);
  });

  it('takes the element types that NumPy prefers, and refuses other kinds', async () => {
    const wide = npy('wide.npy', new Tensor('float64', Float64Array.of(1, 2, 3, 4), [1, 4]));
    const run = ['run', small, ...reference, '--json', '--load-inputs'];
    expect(json((await tensorwright([...run, `x:${wide}`])).stdout)).toMatchObject({ passed: true });
    const whole = npy('whole.npy', new Tensor('int64', BigInt64Array.of(1n, 2n, 3n, 4n), [1, 4]));
    const { code, stderr } = await tensorwright([...run, `x:${whole}`]);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: `error: --load-inputs: '${whole}': it has int64 elements, and 'x' is float32\n`,
    });
  });

  it('names the option and the file that do not fit', async () => {
    const short = join(folder, 'short.raw');
    writeFileSync(short, new Uint8Array(8));
    for (const [words, message] of [
      [['--load-inputs', `x:${short}`], 'needs 16 bytes, received 8'],
      [['--load-inputs', `x:${npy('two.npy', x)}`, '--shapes', 'x:3x4'], '--shapes says [3, 4]'],
      [['--load-outputs', `y:${short}`], 'needs 12 bytes, received 8'],
      [['--load-outputs', 'z:file'], 'one of y'],
      [['--load-outputs', 'y:nowhere.npy'], 'there is no such file'],
    ] as const) {
      const { code, stderr } = await tensorwright(['run', small, ...reference, '-q', ...words]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(`error: ${words[0]}: `) });
      expect(stderr).toContain(message);
    }
    const nowhere = await tensorwright(['run', small, '--save-outputs', join(folder, 'no/where')]);
    expect(nowhere).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('there is no folder') });
  });
});

/** The plan, with this in its report, too. */
function withReport(bytes: Buffer, more: Partial<PlanReport>): Buffer {
  const { headerBytes, sectionsOffset } = decodePlanPreamble(bytes, bytes.length, 'plan');
  const header = JSON.parse(bytes.toString('utf8', planPreambleBytes, planPreambleBytes + headerBytes)) as PlanHeader;
  const text = Buffer.from(JSON.stringify({ ...header, report: { ...header.report, ...more } }));
  const head = Buffer.alloc(Math.ceil((planPreambleBytes + text.length) / planSectionAlignment) * planSectionAlignment);
  head.set(planPreamble(text));
  text.copy(head, planPreambleBytes);
  return Buffer.concat([head, bytes.subarray(sectionsOffset)]);
}

describe('run, of a plan', () => {
  it("takes the profile's optimum, and compares with the model where that is given", async () => {
    const alone = json((await tensorwright(['run', plan, '--json'])).stdout);
    expect(alone).toMatchObject({ against: null, outputs: [{ name: 'y', type: 'float32[2, 3]', notFinite: 0 }] });
    const { code, stdout } = await tensorwright(['run', plan, '--model', small, '--json', '--shapes', 'x:5x4']);
    expect(code).toBe(0);
    const report = json(stdout);
    expect(report).toMatchObject({ passed: true, outputs: [{ name: 'y', type: 'float32[5, 3]' }] });
    expect(report['against']).toMatch(/^onnxruntime-node \d/);
  });

  it('tolerates what the precision explains that it was built in, where no result shows it, too', async () => {
    const compared = async (path: string): Promise<unknown> =>
      json((await tensorwright(['run', path, '--model', small, '--json', '-q'])).stdout)['tolerance'];
    expect(await compared(plan)).toEqual({ nrms: 1e-4 });
    for (const [rounding, nrms] of [
      ['tf32', 1e-2],
      ['fp16', 1e-2],
      ['bf16', 5e-2],
    ] as const) {
      const path = join(folder, `${rounding}.plan`);
      writeFileSync(path, withReport(readFileSync(plan), { rounding: [rounding] }));
      expect(await compared(path)).toEqual({ nrms });
    }
    // The reference has no such arithmetic.
    const own = await tensorwright(['run', small, ...reference, '--tf32', '--json', '-q']);
    expect(json(own.stdout)).toMatchObject({ tolerance: { nrms: 1e-4 }, passed: true });
  });

  it('has no use for some options', async () => {
    for (const [words, message] of [
      [['--bf16'], '--bf16 is for building'],
      [['--layers'], 'give the model instead of the plan'],
      [['--against', 'onnxruntime'], '--model model.onnx'],
      [['--model', plan], 'is a plan'],
      [['--model', small, '--load-outputs', 'y:y.npy'], '--load-outputs compares with files, and --model with'],
      [['--model', small, '--against', 'none'], '--against none does not compare'],
      [['--max-nrms', '1e-3'], '--max-nrms has nothing to tolerate: a plan is compared where --model'],
      [['--rtol', '1e-3', '--against', 'none'], '--rtol has nothing to tolerate: --against none'],
      [['--model', join(folder, 'none.onnx')], 'there is no such file'],
    ] as const) {
      const { code, stderr } = await tensorwright(['run', plan, ...words]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    }
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
