// npm may write a lock file without the platform packages of a tool (where a registry lacks one), and `npm ci` then
// refuses it on another machine. Every name in an entry's `optionalDependencies` must have an entry of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './process.mjs';

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));

/** Node's lookup, done on the lock file's paths: from the package's own folder outwards. */
function isLocked(path, name) {
  for (let folder = path; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    if (packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`]) return true;
    if (folder === '') return false;
  }
}

const missing = Object.entries(packages).flatMap(([path, entry]) =>
  Object.keys(entry.optionalDependencies ?? {})
    .filter((name) => !isLocked(path, name))
    .map((name) => `${path === '' ? 'the root' : path} names ${name}, which is not locked`),
);
const hosts = Object.entries(packages).filter(([, entry]) => /^https?:/.test(entry.resolved ?? ''));
for (const [path] of hosts) missing.push(`${path} names the server that it came from (see .npmrc)`);

for (const line of missing) console.error(`package-lock.json: ${line}`);
console.log(missing.length === 0 ? 'package-lock.json is complete.' : `${missing.length} problems.`);
process.exitCode = missing.length === 0 ? 0 : 1;
