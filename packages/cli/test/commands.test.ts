import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuBackend } from '@tensorwright/backend-cpu';
import { referenceBackend } from '@tensorwright/backend-reference';
import { type Backend, registerBackend, type StepExecutor, Tensor } from '@tensorwright/core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { digits, temporaryFolder, tensorwright } from './support/run-command.js';
import { model, node, input, output, smallModel } from './support/small-model.js';

const folder = temporaryFolder(afterAll);
const small = join(folder, 'small.onnx');
const plan = join(folder, 'small.plan');
const reference = ['--backends', 'reference'];

beforeAll(async () => {
  writeFileSync(small, smallModel());
  const built = await tensorwright([
    'build',
    small,
    '-o',
    plan,
    ...reference,
    '--min-shapes',
    'x:1x4',
    '--opt-shapes',
    'x:2x4',
    '--max-shapes',
    'x:8x4',
  ]);
  expect(built).toMatchObject({ code: 0 });
});

function json(stdout: string): Record<string, any> {
  return JSON.parse(stdout) as Record<string, unknown>;
}

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

  it('finds out before building that the plan cannot be written', async () => {
    const { code, stderr } = await tensorwright(['build', small, '-o', join(folder, 'nowhere/small.plan')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: cannot write .* there is no folder/);
  });
});

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

describe('bench', () => {
  it.each([
    ['a plan', () => plan, []],
    ['a model', () => small, reference],
  ])('measures %s', async (_, path, options) => {
    const { code, stdout } = await tensorwright([
      'bench',
      path(),
      '--json',
      '--duration',
      '0',
      '--warm-up',
      '0',
      '--iterations',
      '7',
      '--streams',
      '2',
      '--percentile',
      '50,99',
      '--layers',
      ...options,
    ]);
    expect(code).toBe(0);
    const report = json(stdout);
    expect(report).toMatchObject({ schemaVersion: 1, command: 'bench', streams: 2, backends: ['reference'] });
    expect(report.runs).toBeGreaterThanOrEqual(7);
    expect(report.throughput).toBeCloseTo((1000 * report.runs) / report.wallMs, 6);
    for (const times of [report.latencyMs, report.computeMs]) {
      expect(Object.keys(times.percentiles)).toEqual(['50', '99']);
      expect(times.min).toBeLessThanOrEqual(times.percentiles['50']);
      expect(times.percentiles['99']).toBeLessThanOrEqual(times.max);
      expect(times.min).toBeGreaterThan(0);
    }
    expect(report.layers.flatMap((l: { origins: string[] }) => l.origins)).toEqual(
      expect.arrayContaining(['first', 'bend', 'second', 'shift']),
    );
  });

  it("runs at the profile's optimum, at given shapes, and at 1", async () => {
    const quick = ['--json', '--duration', '0', '--warm-up', '0', '--iterations', '1'];
    expect(json((await tensorwright(['bench', plan, ...quick])).stdout).shapes).toEqual({ x: [2, 4] });
    expect(json((await tensorwright(['bench', plan, ...quick, '--shapes', 'x:5x4'])).stdout).shapes).toEqual({
      x: [5, 4],
    });
    const assumed = await tensorwright(['bench', small, ...quick, ...reference]);
    expect(json(assumed.stdout).shapes).toEqual({ x: [1, 4] });
    expect(assumed.stderr).toContain('dimensions batch are taken to be 1');
  });

  it('refuses building options for a plan', async () => {
    const { code, stderr } = await tensorwright(['bench', plan, '--bf16']);
    expect(code).toBe(2);
    expect(stderr).toContain('--bf16 is for building');
  });
});

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

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('for %s knows commands and options', async (shell) => {
    const { code, stdout } = await tensorwright(['completion', shell]);
    expect(code).toBe(0);
    for (const word of ['build', 'bench', 'run', 'inspect', 'doctor', 'timing-cache', 'onnxruntime'])
      expect(stdout).toContain(word);
    expect(stdout).not.toContain('probe');
  });

  it('completes in bash', async () => {
    const { stdout } = await tensorwright(['completion', 'bash']);
    const complete = (...words: string[]): string[] => {
      const script = `${stdout}\nCOMP_WORDS=(${words.map((w) => `'${w}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _tensorwright; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const result = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
      expect(result.stderr).toBe('');
      return result.stdout.split('\n').filter((w) => w !== '');
    };
    expect(complete('tensorwright', 'b')).toEqual(['build', 'bench']);
    expect(complete('tensorwright', 'run', '--against', '')).toEqual(['auto', 'onnxruntime', 'reference']);
    expect(complete('tensorwright', 'bench', '--st')).toEqual(['--streams']);
    expect(complete('tensorwright', 'completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(complete('tensorwright', 'build', 'mod')).toEqual([]);
  });
});

describe('exit codes', () => {
  it.each([
    ['nothing to do', [], 2],
    ['an unknown command', ['nope'], 2],
    ['an unknown option', ['build', 'm', '-o', 'p', '--levl', '3'], 2],
    ['a missing option', ['build', 'm'], 2],
    ['a level out of range', ['build', 'm', '-o', 'p', '--level', '6'], 2],
    ['a missing file', ['inspect', '/nowhere.onnx'], 2],
    ['an unknown shell', ['completion', 'tcsh'], 2],
    ['an unknown peer', ['run', 'm', '--against', 'me'], 2],
    ['the version', ['--version'], 0],
    ['help', ['help', 'bench'], 0],
  ])('%s', async (_, args, code) => {
    expect((await tensorwright(args)).code).toBe(code);
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
    const { code, stderr } = await tensorwright(['build', small, '-o', plan, ...reference, '--shapes', 'x:1x5']);
    expect(code).toBe(2);
    expect(stderr).toContain('axis 1 is fixed at 4');
  });

  it('tells interrupts', async () => {
    const { code, stderr } = await tensorwright(['build', small, '-o', plan, ...reference], {
      signal: AbortSignal.abort(),
    });
    expect(code).toBe(130);
    expect(stderr).toContain('interrupted');
  });
});
