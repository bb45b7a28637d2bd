// Makes the package that carries the addon for the platform this runs on, in `.cache/native/`: a release publishes it
// before @tensorwright/native, whose loader requires it by name. It is no workspace member: npm refuses members for
// another platform.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { root } from './process.mjs';

const addon = 'native/build/Release/tensorwright.node';

/** Writes the package's folder and returns its path. */
export function packNative() {
  const { platform, arch } = process;
  const libc = platform === 'linux' ? (process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl') : '';
  const suffix = { glibc: '-gnu', musl: '-musl' }[libc] ?? (platform === 'win32' ? '-msvc' : '');
  const triple = `${platform}-${arch}${suffix}`;
  const native = JSON.parse(readFileSync(join(root, 'native/package.json'), 'utf8'));
  const folder = join(root, '.cache/native', triple);

  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(root, addon), join(folder, 'tensorwright.node'));
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const manifest = {
    name: `${native.name}-${triple}`,
    version: native.version,
    description: `The addon of ${native.name} for ${triple}`,
    license: native.license,
    engines: native.engines,
    os: [platform],
    cpu: [arch],
    ...(libc && { libc: [libc] }),
    main: './tensorwright.node',
    files: ['tensorwright.node'],
    preferUnplugged: true,
    publishConfig: native.publishConfig,
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  writeFileSync(
    join(folder, 'README.md'),
    `# ${manifest.name}\n\n${manifest.description}. Installed by ${native.name}; not to be used alone.\n`,
  );
  return folder;
}

if (argv[1] === fileURLToPath(import.meta.url)) console.log(packNative());
