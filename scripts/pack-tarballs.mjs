// Every published package and the addon of this platform as tarballs, and a project that has them installed: what a user
// gets, without the workspace around it.
import { readdirSync, writeFileSync } from 'node:fs';
import { packNative } from './pack-native.mjs';
import { publishedPackages, run } from './process.mjs';

/** Packs the built packages and installs them in an empty folder. @returns what failed; undefined: nothing */
export function installTarballs(folder) {
  const packages = publishedPackages().map((path) => `./${path}`);
  if (!run('npm', ['pack', '--silent', '--pack-destination', folder, ...packages, packNative()])) return 'pack';
  const tarballs = readdirSync(folder).map((name) => `./${name}`);
  writeFileSync(`${folder}/package.json`, '{ "private": true }\n');
  return install(folder, tarballs) ? undefined : 'install';
}

export function install(folder, tarballs) {
  return run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...tarballs], { cwd: folder });
}
