// node scripts/check-plugins.mjs [--no-build]
// The ways to a plugin of one's own, walked as a stranger would: from packed tarballs in an empty folder, by the README's
// program, by both templates against the packaged headers, and by the sample that is a package.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, execPath } from 'node:process';
import { transformSync } from 'esbuild';
import { install, installTarballs } from './pack-tarballs.mjs';
import { fail, root, run, runTool } from './process.mjs';

if (!argv.includes('--no-build') && !runTool('nx', ['run-many', '-t', 'build', '--outputStyle=stream']))
  fail('The build failed.');
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-plugins-'));
const emulator = join(root, 'native/build/emulator/libtensorwright_emulator_');
const device = existsSync(`${emulator}cuda.so`) && {
  TENSORWRIGHT_CUDA_DRIVER: `${emulator}cuda.so`,
  TENSORWRIGHT_NVRTC: `${emulator}nvrtc.so`,
  TENSORWRIGHT_KERNEL_CACHE: '',
};

try {
  const failed = installTarballs(folder);
  check(failed === undefined, failed);
  readme();
  cmakeTemplate();
  npmTemplate();
  samplePackage();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`\nAll ways to a plugin work${device ? '' : ", but for the README's program, which needs the emulator"}.`);

/** The first program of the README, as it stands there: on the emulated device, where it is built. */
function readme() {
  const text = readFileSync(join(root, 'packages/plugins/README.md'), 'utf8');
  const program = /```ts\n([^]*?)```/.exec(text)?.[1];
  check(program !== undefined, "find the README's program");
  writeFileSync(join(folder, 'leaky.mts'), program);
  const strict = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'esnext,dom'];
  check(runTool('tsc', [...strict, '--skipLibCheck', 'leaky.mts'], { cwd: folder }), "check the README's types");
  if (!device) {
    console.log("\nThe README's program is left out: the emulator is not built.");
    return;
  }
  const { code } = transformSync(program, { loader: 'ts', format: 'esm' });
  const test = "if (y.data.join() !== '-0.25,2') throw new Error(String(y.data));\n";
  writeFileSync(join(folder, 'readme.mjs'), `${code}${test}`);
  check(node('readme.mjs', device), "run the README's program");
}

function cmakeTemplate() {
  const home = join(folder, 'plugin-cmake');
  cpSync(join(root, 'templates/plugin-cmake'), home, { recursive: true });
  check(run('cmake', ['-S', home, '-B', join(home, 'build')]), 'configure templates/plugin-cmake');
  check(run('cmake', ['--build', join(home, 'build'), '--config', 'Release']), 'build templates/plugin-cmake');
  softSign(
    `PluginLibrary.load('./plugin-cmake/build/my_plugin.${process.platform === 'win32' ? 'dll' : 'so'}').plugins[0]`,
  );
}

function npmTemplate() {
  const home = join(folder, 'plugin-npm');
  cpSync(join(root, 'templates/plugin-npm'), home, { recursive: true });
  check(runTool('cmake-js', ['build'], { cwd: home }), 'build templates/plugin-npm');
  check(run(execPath, ['--test'], { cwd: home }), 'test templates/plugin-npm');
  installPacked(home);
  softSign("(await import('my-tensorwright-plugins'), PluginRegistry.global.get({ name: 'MyScaledSoftSign' }))");
}

function samplePackage() {
  installPacked(join(root, 'samples/plugin-package'));
  cpSync(join(root, 'samples/plugin-package/main.mjs'), join(folder, 'main.mjs'));
  check(node('main.mjs'), 'run samples/plugin-package');
}

function installPacked(home) {
  const place = mkdtempSync(join(folder, 'packed-'));
  check(run('npm', ['pack', '--silent', '--pack-destination', place], { cwd: home }), `pack ${home}`);
  check(
    install(
      folder,
      readdirSync(place).map((name) => join(place, name)),
    ),
    `install ${home}`,
  );
}

/** Runs a network of the templates' plugin. */
function softSign(plugin) {
  writeFileSync(
    join(folder, 'soft-sign.mjs'),
    `import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor } from '@tensorwright/core';
import { PluginLibrary, PluginRegistry } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
const plugin = ${plugin};
const network = new NetworkDefinition();
network.markOutput(plugin.addTo(network, { x: network.addInput('x', 'float32', ['n']) }).y, 'y');
const engine = await Runtime.load(await new Builder().build(network.toNetwork()));
const { y } = await engine.createContext().run({ x: new Tensor('float32', Float32Array.of(-1, 0, 3), [3]) });
if (y.data.join() !== '-0.5,0,0.75') throw new Error(String(y.data));
await engine.close();
`,
  );
  check(node('soft-sign.mjs'), `run ${plugin}`);
}

function node(program, env = {}) {
  return run(execPath, ['--disable-warning=ExperimentalWarning', program], { cwd: folder, env });
}

function check(succeeded, what) {
  if (succeeded) return;
  rmSync(folder, { recursive: true, force: true });
  fail(`Failed to ${what}.`);
}
