import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuBackend } from '@tensorwright/backend-cpu';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { PluginLibrary, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { checkComparable } from '../src/compare/library-calls.js';
import { hasCompiler, LibraryFolder } from '../../plugins/test/support/compile-library.js';
import { double } from './support/acme-plugins.js';
import { temporaryFolder, tensorwright } from './support/run-command.js';
import { input, model, node, output } from './support/small-model.js';

const folder = temporaryFolder(afterAll);
const acme = join(import.meta.dirname, 'support/acme-plugins.ts');
const quick = ['--level', '0', '-q'];
const once = ['--duration', '0', '--warm-up', '0', '--iterations', '1', '-q'];

/** y = operator(x) for x of 2 × 3. */
function oneNode(operator: string): string {
  const path = join(folder, `${operator}.onnx`);
  writeFileSync(path, model(node(operator, 'it', ['x'], ['y']), input('x', [2, 3]), output('y', [2, 3])));
  return path;
}

function json(stdout: string): Record<string, any> {
  return JSON.parse(stdout) as Record<string, unknown>;
}

// The first command loads and transforms the packages.
beforeAll(async () => {
  await tensorwright(['run', oneNode('Relu'), ...quick]);
}, 120_000);

const values = Float32Array.of(-2, -1, 0, 0.5, 1, 4);

async function runPlan(plan: string, options: object = {}): Promise<number[]> {
  await using engine = await Runtime.load(plan, options);
  const { y } = await engine.createContext().run({ x: new Tensor('float32', values, [2, 3]) });
  return [...(y!.data as Float32Array)];
}

afterEach(() => {
  vi.restoreAllMocks();
  // What a command registers is gone with it.
  expect(PluginRegistry.global.list()).toEqual([]);
});

describe('--plugins with a module', { timeout: 60_000 }, () => {
  it.each(['AcmeDouble', 'AcmeTriple', 'AcmeHalf'])('finds %s among the exports', async (operator) => {
    const ran = await tensorwright(['run', oneNode(operator), '--plugins', acme, '--json', ...quick]);
    expect(ran).toMatchObject({ code: 0 });
    expect(json(ran.stdout)).toMatchObject({ passed: true, backends: { plugins: 1 } });
  });

  it('builds a plan, which other commands then run with the same option', async () => {
    const plan = join(folder, 'double.plan');
    const built = await tensorwright(['build', oneNode('AcmeDouble'), '-o', plan, '--plugins', acme, ...quick]);
    expect(built).toMatchObject({ code: 0 });
    PluginRegistry.global.register(double);
    expect(await runPlan(plan)).toEqual([...values].map((v) => v * 2));
    PluginRegistry.global.unregister(double.key);
    expect((await tensorwright(['bench', plan, `--plugins=${acme}`, ...once])).code).toBe(0);
    const inspected = await tensorwright(['inspect', plan]);
    expect(inspected).toMatchObject({ code: 0 });
    expect(inspected.stdout).toMatch(/^plugin +acme::AcmeDouble 1, 1 layer on plugins: needs its module$/m);
    expect(inspected.stderr).toMatch(/^warning: the plan does not run here: there is no plugin acme::AcmeDouble 1/);
    const without = await tensorwright(['bench', plan, ...once]);
    expect(without).toMatchObject({ code: 3 });
    expect(without.stderr).toMatch(/acme::AcmeDouble 1.*\(ERR_PLUGIN\)\nhint: --plugins/s);
  });

  it('is needed where a model has nodes of it, and the message says so', async () => {
    const { code, stderr } = await tensorwright(['inspect', oneNode('AcmeDouble')]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/AcmeDouble.*\nhint: --plugins/s);
  });
});

describe('--plugins with something else', { timeout: 60_000 }, () => {
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  it.each([
    ['a file that is not there', () => join(folder, 'none.mjs'), 2, /there is no file .*none\.mjs'; expected a shared/],
    ['a library that is not there', () => './none.so', 2, /there is no file '\.\/none\.so'/],
    ['a folder', () => folder, 2, /is a folder; expected a shared library/],
    ['a package that is not installed', () => '@acme/none', 2, /there is no package '@acme\/none' here: npm install/],
    ['a module without plugins', () => file('empty.mjs', 'export const a = 1;'), 3, /exports no plugin: export what/],
    ['a module that throws', () => file('throws.mjs', 'throw new Error("oh");'), 3, /cannot be loaded: oh/],
    [
      'a list with something else in it',
      () => file('mixed.mjs', `export const all = [${foreign}, 1];`),
      3,
      /exports a list whose item 1 is no plugin/,
    ],
    [
      'plugins of another copy of the package',
      () => file('foreign.mjs', `export const one = ${foreign};`),
      3,
      /plugin Foreign 1 is defined by another copy of @tensorwright\/plugins/,
    ],
    ['a file that is no library', () => file('text.so', 'text'), 3, /text\.so/],
  ])('refuses %s', async (_, name, code, message) => {
    const refused = await tensorwright(['inspect', oneNode('Relu'), '--plugins', name()]);
    expect(refused.stderr).toMatch(message);
    expect(refused.stderr).toMatch(/^error: --plugins: .*\(ERR_\w+\)\n/);
    expect(refused.code).toBe(code);
  });

  const foreign = `{ key: { name: 'Foreign', version: '1', namespace: '' }, title: 'Foreign 1', inputs: [], operator: { name: '::Foreign@1' } }`;
});

describe('stock plugins', { timeout: 60_000 }, () => {
  const path = oneNode('CustomSkipLayerNormPluginDynamic');

  it('are known to every command', async () => {
    const { stderr } = await tensorwright(['inspect', path]);
    expect(stderr).toMatch(/plugin CustomSkipLayerNormPluginDynamic \d+ /);
  });

  it('are left out with --no-stock-plugins', async () => {
    const { stderr } = await tensorwright(['inspect', path, '--no-stock-plugins']);
    expect(stderr).toContain('Define the operator as');
  });
});

describe('plugins', { timeout: 60_000 }, () => {
  it('lists what is registered, with fields, inputs, outputs and backends', async () => {
    const { code, stdout } = await tensorwright(['plugins', '--plugins', acme, '--json']);
    expect(code).toBe(0);
    const { plugins, ...document } = json(stdout);
    expect(document).toEqual({ schemaVersion: 1, command: 'plugins' });
    const named = (name: string): unknown => plugins.find((p: { name: string }) => p.name === name);
    expect(named('AcmeDouble')).toEqual({
      name: 'AcmeDouble',
      version: '1',
      namespace: 'acme',
      from: acme,
      implementations: ['cpu'],
      backends: ['plugins'],
      inputs: [{ name: 'x', optional: false }],
      outputs: ['y'],
      fields: [{ name: 'by', kind: 'float', required: false, default: 2 }],
      patterns: [],
    });
    // As TensorRT documents it.
    expect(named('EfficientNMS_TRT')).toMatchObject({
      from: 'stock',
      inputs: [
        { name: 'boxes', optional: false },
        { name: 'scores', optional: false },
        { name: 'anchors', optional: true },
      ],
      outputs: ['num_detections', 'detection_boxes', 'detection_scores', 'detection_classes'],
    });
  });

  it('is a table, and a page for each plugin that is named', async () => {
    const options = ['--no-stock-plugins', '--plugins', acme];
    const { stdout } = await tensorwright(['plugins', ...options]);
    expect(stdout.split('\n')).toHaveLength(5);
    expect(stdout).toMatch(/^AcmeHalf +1 +acme +plugins +x +y +by: float = 0.5$/m);
    expect((await tensorwright(['plugins', 'AcmeHalf', ...options])).stdout).toBe(
      `plugin    acme::AcmeHalf 1\nfrom      ${acme}\nbackends  plugins\ninput     x\noutput    y\nfield     by: float = 0.5\n`,
    );
    const pages = await tensorwright(['plugins', '-v', ...options]);
    expect(pages.stdout.match(/^plugin +\S+/gm)).toEqual(
      ['Double', 'Half', 'Triple'].map((name) => `plugin    acme::Acme${name}`),
    );
    const { code, stderr } = await tensorwright(['plugins', 'AcmeQuarter', ...options]);
    expect(code).toBe(2);
    expect(stderr).toContain("there is no plugin 'AcmeQuarter'");
  });
});

describe.skipIf(!hasCompiler || cpuBackend.device() === undefined)(
  '--plugins with a library',
  { timeout: 60_000 },
  () => {
    const libraries = new LibraryFolder();
    let library: string;
    let packages: string;
    const softSign = [...values].map((v) => Math.fround(v / (1 + Math.abs(v))));

    beforeAll(() => {
      library = libraries.compile(
        'mine.so',
        join(import.meta.dirname, '../../../templates/plugin-cmake/my_plugin.cpp'),
      );
      packages = join(libraries.path, 'project');
      const place = join(packages, 'node_modules/@acme/soft-sign');
      mkdirSync(place, { recursive: true });
      writeFileSync(
        join(place, 'package.json'),
        JSON.stringify({ name: '@acme/soft-sign', tensorwright: { plugins: '../../../../mine.so' } }),
      );
    }, 60_000);
    afterAll(() => libraries.remove());

    it('runs models with nodes of it', async () => {
      const benched = await tensorwright(['bench', oneNode('MySoftSign'), '--plugins', library, '--json', ...once]);
      expect(benched).toMatchObject({ code: 0 });
      expect(json(benched.stdout)).toMatchObject({ backends: ['cpu'] });
    });

    it('is compared with its function for the processor', async () => {
      const ran = await tensorwright(['run', oneNode('MySoftSign'), '--plugins', library, '--json', ...quick]);
      expect(ran).toMatchObject({ code: 0 });
      expect(json(ran.stdout)).toMatchObject({
        passed: true,
        against: 'the reference evaluation, and plugins of libraries on the processor',
      });
    });

    it('is not compared where it has none', async () => {
      const source = join(import.meta.dirname, '../../plugins/test/support/device.cpp');
      const device = libraries.compile('device.so', source);
      const against = ['--against', 'reference'];
      const { code, stderr } = await tensorwright([
        'run',
        oneNode('Recorded'),
        '--plugins',
        device,
        ...against,
        ...quick,
      ]);
      expect(code).toBe(4);
      expect(stderr).toMatch(/nothing else can compute plugin 'test::Recorded@1'.*does not run on cpu/);
    });

    it('is not compared in bodies, which the reference computes by itself', async () => {
      using loaded = PluginLibrary.load(library);
      const n = new NetworkDefinition();
      const x = n.addInput('x', 'float32', [2, 3]);
      const tripCount = n.addConstant(new Tensor('int64', BigInt64Array.of(2n), []));
      const { carried } = n.addLoop({ tripCount, carried: [x] }, ({ carried: [v] }) => ({
        carried: [loaded.plugins[0]!.addTo(n, { x: v! })['y']!],
      }));
      n.markOutput(carried[0]!, 'y');
      await expect(checkComparable(n.toNetwork())).rejects.toMatchObject({
        exitCode: 4,
        message: expect.stringMatching(
          /compute plugin 'mine::MySoftSign@1'.*called in the body of a conditional/,
        ) as string,
      });
    });

    it('is left to ONNX Runtime where that is asked for', async () => {
      const source = join(import.meta.dirname, '../../plugins/test/support/device.cpp');
      const device = libraries.compile('device.so', source);
      const against = ['--against', 'onnxruntime'];
      const { stderr } = await tensorwright(['run', oneNode('Recorded'), '--plugins', device, ...against, ...quick]);
      expect(stderr).not.toMatch(/nothing else can compute/);
    });

    it('finds it by the name of a package, from the working folder', async () => {
      vi.spyOn(process, 'cwd').mockReturnValue(packages);
      expect(await tensorwright(['inspect', oneNode('MySoftSign'), '--plugins', '@acme/soft-sign'])).toMatchObject({
        code: 0,
      });
    });

    it('carries it in the plan with --embed-plugins, and runs it only with --allow-code-from-plan', async () => {
      const plan = join(folder, 'carried.plan');
      const options = ['--plugins', library, '--embed-plugins', '--backends', 'cpu', ...quick];
      expect(await tensorwright(['build', oneNode('MySoftSign'), '-o', plan, ...options])).toMatchObject({ code: 0 });
      const { plugins, libraries, problem } = json((await tensorwright(['inspect', plan, '--json'])).stdout);
      expect(plugins).toEqual([
        { plugin: 'mine::MySoftSign 1', code: 'library', backend: 'cpu', layers: 1, carriedBy: 'mine.so' },
      ]);
      const platform = `${process.platform}-${process.arch}`;
      const bytes = statSync(library).size;
      expect(libraries).toEqual([{ name: 'mine.so', platform, bytes, plugins: ['mine::MySoftSign 1'] }]);
      expect(problem).toMatchObject({ code: 'ERR_PLUGIN' });
      const inspected = await tensorwright(['inspect', plan, '--allow-code-from-plan']);
      expect(inspected).toMatchObject({ code: 0, stderr: '' });
      expect(inspected.stdout).toMatch(/^plugin +mine::MySoftSign 1, 1 layer on cpu: carried in mine\.so$/m);
      expect(inspected.stdout).toMatch(/^library +mine\.so, \w+-\w+, .*: mine::MySoftSign 1$/m);
      const refused = await tensorwright(['bench', plan, ...once]);
      expect(refused).toMatchObject({ code: 3 });
      expect(refused.stderr).toMatch(/does not allow code from plans.*\nhint: .*--allow-code-from-plan/s);
      expect((await tensorwright(['bench', plan, '--allow-code-from-plan', ...once])).code).toBe(0);
      expect(await runPlan(plan, { allowCodeFromPlan: true })).toEqual(softSign);
    });

    it('is left out of the plan without --embed-plugins', async () => {
      const plan = join(folder, 'bare.plan');
      const options = ['--plugins', library, '--backends', 'cpu', ...quick];
      expect(await tensorwright(['build', oneNode('MySoftSign'), '-o', plan, ...options])).toMatchObject({ code: 0 });
      expect((await tensorwright(['bench', plan, '--allow-code-from-plan', ...once])).code).toBe(3);
      expect((await tensorwright(['bench', plan, '--plugins', library, ...once])).code).toBe(0);
    });
  },
);
