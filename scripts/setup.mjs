// The one set-up routine: system packages, npm packages, build. It imports nothing that npm has to install first, does
// only what is missing, and is what `npm run quickstart` and `npm test` start with. Alone: `npm run setup`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { fail, found, root, run, runTool } from './process.mjs';

/** What the native addon is built with: programs that will do, and the Debian package that brings one. */
const buildTools = [
  { programs: ['cmake'], debian: 'cmake' },
  { programs: ['c++', 'g++', 'clang++'], debian: 'g++' },
  { programs: ['make'], debian: 'make' },
  { programs: ['ninja'], debian: 'ninja-build' },
];

export function setup() {
  checkNode();
  installSystemPackages();
  installNpmPackages();
  if (!runTool('nx', ['run-many', '-t', 'build', '--outputStyle=stream'])) fail('The build failed.');
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(`Node.js 20.19 or newer is needed; this is ${process.versions.node}.`);
  }
}

function installSystemPackages() {
  const missing = buildTools.filter((tool) => !tool.programs.some(found)).map((tool) => tool.debian);
  if (missing.length === 0) return;
  const names = missing.join(' ');
  const isRoot = process.getuid?.() === 0;
  if (!found('apt-get') || !isRoot) {
    fail(
      `To build the native addon these programs are needed: ${names} (names of the Debian packages).\n` +
        `On Debian or Ubuntu: sudo apt-get install -y ${names}`,
    );
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  if (!run('apt-get', ['update'], { env }) || !run('apt-get', install, { env })) {
    fail(`apt-get could not install: ${names}`);
  }
}

function installNpmPackages() {
  if (isInstalled()) return;
  if (!run('npm', ['ci', '--include=dev'])) fail('npm ci failed.');
}

/** Whether node_modules holds what package-lock.json says: npm keeps a lock file of its own in there. */
function isInstalled() {
  const wanted = readLock('package-lock.json');
  const installed = readLock('node_modules/.package-lock.json');
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true;
    const present = installed[path];
    if (!present) return entry.optional === true || entry.devOptional === true || entry.peer === true;
    return present.version === entry.version && present.integrity === entry.integrity;
  });
}

function readLock(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) setup();
