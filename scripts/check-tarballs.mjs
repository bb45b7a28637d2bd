// Packs every published package and the addon of this platform, installs the tarballs in an empty folder, and loads each
// with `import` and with `require`: what a user gets, without the workspace around it.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packNative } from './pack-native.mjs';
import { fail, publishedPackages, root, run, runTool } from './process.mjs';

if (!runTool('nx', ['run-many', '-t', 'build', '--outputStyle=stream'])) fail('The build failed.');
const folder = mkdtempSync(join(tmpdir(), 'tensorwright-tarballs-'));
const packages = publishedPackages();

try {
  check(
    run('npm', [
      'pack',
      '--silent',
      '--pack-destination',
      folder,
      ...packages.map((path) => `./${path}`),
      packNative(),
    ]),
    'pack',
  );
  const tarballs = readdirSync(folder).map((name) => `./${name}`);
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  check(
    run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs], { cwd: folder }),
    'install',
  );
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
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`\nAll ${packages.length} tarballs install and load.`);

function check(succeeded, what) {
  if (succeeded) return;
  rmSync(folder, { recursive: true, force: true });
  fail(`The tarballs failed to ${what}.`);
}
