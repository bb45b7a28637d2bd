// Packs every published package and the addon of this platform, installs the tarballs in an empty folder, loads each
// with `import` and with `require`, runs a network from a CommonJS program, and weighs what running plans takes: what a
// user gets, without the workspace around it.
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installTarballs } from './pack-tarballs.mjs';
import { fail, publishedPackages, root, run, runTool } from './process.mjs';

if (!runTool('nx', ['run-many', '-t', 'build', '--outputStyle=stream'])) fail('The build failed.');
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-tarballs-'));
const packages = publishedPackages();
const mostRuntimeBytes = 15e6;

try {
  const failed = installTarballs(folder);
  check(failed === undefined, failed);
  const names = packages.map((path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).name);
  writeFileSync(
    join(folder, 'load.mjs'),
    `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
for (const name of ${JSON.stringify(names)}) {
  const imported = await import(name);
  if (imported !== require(name)) throw new Error(name + ' loads twice: by import and by require');
  console.log(name, Object.keys(imported).length, 'exports');
}
`,
  );
  check(run(process.execPath, ['--disable-warning=ExperimentalWarning', 'load.mjs'], { cwd: folder }), 'load');
  check(
    run(join(folder, 'node_modules', '.bin', 'tensorwright'), ['--version'], { cwd: folder }),
    'run the command line',
  );
  writeFileSync(
    join(folder, 'run.cjs'),
    `const { NetworkDefinition, Tensor } = require('@tensorwright/core');
const { Builder } = require('@tensorwright/builder');
const { Runtime } = require('@tensorwright/runtime');
(async () => {
  const network = new NetworkDefinition();
  const x = network.addInput('x', 'float32', [2]);
  network.markOutput(network.addUnary(x, 'sqrt'), 'y');
  const plan = await new Builder().build(network.toNetwork(), { backends: ['cpu'] });
  const engine = await Runtime.load(await plan.toBytes());
  const { y } = await engine.createContext().run({ x: new Tensor('float32', new Float32Array([4, 9]), [2]) });
  if (y.data[0] !== 2 || y.data[1] !== 3) throw new Error('wrong roots: ' + y.data);
  await engine.close();
})();
`,
  );
  check(
    run(process.execPath, ['--disable-warning=ExperimentalWarning', 'run.cjs'], { cwd: folder }),
    'run a network from CommonJS',
  );
  weigh();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`\nAll ${packages.length} tarballs install and load.`);

/** What a machine has installed that only runs plans: the runtime, the addon, and the packages these need. */
function weigh() {
  const modules = join(folder, 'node_modules');
  const needed = new Set();
  const need = (name) => {
    if (needed.has(name)) return;
    needed.add(name);
    const { dependencies } = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8'));
    Object.keys(dependencies ?? {}).forEach(need);
  };
  need('@tensorwright/runtime');
  // The addon's package is named in no manifest before a release: all of ours in the folder that is for a platform.
  for (const name of readdirSync(join(modules, '@tensorwright')))
    if (name.startsWith('native-')) need(`@tensorwright/${name}`);
  const bytes = [...needed].reduce((sum, name) => sum + sizeOf(join(modules, name)), 0);
  const text = `The runtime, the addon and what they need take ${(bytes / 1e6).toFixed(1)} MB installed`;
  if (bytes > mostRuntimeBytes) fail(`${text}, more than ${mostRuntimeBytes / 1e6} MB.`);
  console.log(`\n${text}: ${[...needed].join(', ')}.`);
}

function sizeOf(path) {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return stats.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

function check(succeeded, what) {
  if (succeeded) return;
  rmSync(folder, { recursive: true, force: true });
  fail(`The tarballs failed to ${what}.`);
}
