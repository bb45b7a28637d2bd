// node scripts/pack-gpu.mjs FOLDER
// Everything the GPU suite needs on a machine with a GPU and no package registry: the addon, the bundled programs, the
// kernel library and this Node.js, in one folder. `sh FOLDER/run.sh PROGRAM …` unpacks it on first use and runs one.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { argv, execPath, exit } from 'node:process';
import { bundle } from './bundle.mjs';
import { bundleTests, deviceTests } from './device-tests/bundle.mjs';
import { compilePluginLibraries } from './plugin-libraries.mjs';

const root = resolve(import.meta.dirname, '..');
const folder = resolve(argv[2] ?? join(root, '.carry'));
const content = join(folder, 'content');
rmSync(content, { recursive: true, force: true });
mkdirSync(content, { recursive: true });

const programs = {
  attention: 'harness/src/attention/main.ts',
  conformance: 'harness/src/conformance/main.ts',
  contractions: 'harness/src/contractions/main.ts',
  convolutions: 'harness/src/convolutions/main.ts',
  devices: 'harness/src/devices/main.ts',
  kernels: 'harness/src/kernels/main.ts',
  plugins: 'harness/src/plugins/main.ts',
  zoo: 'harness/src/zoo/main.ts',
  'plugin-library': 'harness/src/plugin-library/main.ts',
  soak: 'harness/src/soak/main.ts',
  tensorwright: 'cli/src/main.ts',
};
await bundle({
  entryPoints: Object.fromEntries(Object.entries(programs).map(([name, file]) => [name, join(root, 'packages', file)])),
  outdir: content,
});
await bundleTests(join(content, 'tests'), deviceTests());
cpSync(join(root, 'native/build/Release/tensorwright.node'), join(content, 'tensorwright.node'));
cpSync(join(root, 'native/cuda/kernels'), join(content, 'kernels'), { recursive: true });
compilePluginLibraries(join(content, 'libraries'));

const ort = join(root, 'node_modules/onnxruntime-node');
const peer = join(content, 'node_modules/onnxruntime-node');
cpSync(join(ort, 'dist'), join(peer, 'dist'), { recursive: true });
cpSync(join(ort, 'package.json'), join(peer, 'package.json'));
cpSync(join(ort, 'bin/napi-v6/linux/x64'), join(peer, 'bin/napi-v6/linux/x64'), { recursive: true });
cpSync(join(root, 'node_modules/onnxruntime-common'), join(content, 'node_modules/onnxruntime-common'), {
  recursive: true,
  filter: (path) => !path.includes('/node_modules/onnxruntime-common/lib') && !path.endsWith('.map'),
});

for (const file of ['scripts/test-gpu.sh', 'bench/pytorch.py']) cpSync(join(root, file), join(folder, basename(file)));
pack('content.tar.xz', ['-C', content, '.']);
rmSync(content, { recursive: true });
const node = realpathSync(execPath);
shell(`[ -e '${folder}/node.xz' ] || xz -T0 -9 -c '${node}' > '${folder}/node.xz'`);
writeFileSync(
  join(folder, 'run.sh'),
  `#!/bin/sh
# sh run.sh PROGRAM ARGUMENT …: the programs are ${Object.keys(programs).join(', ')} and tests/main.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
place=\${TENSORWRIGHT_UNPACKED:-/tmp/tensorwright}
if [ ! -x "$place/node" ]; then
  mkdir -p "$place"
  tar xJf "$here/content.tar.xz" -C "$place"
  xz -dc "$here/node.xz" > "$place/node"
  chmod +x "$place/node"
fi
export TENSORWRIGHT_NATIVE_PATH="$place/tensorwright.node" TENSORWRIGHT_KERNELS="$place/kernels"
program=$1
shift
exec "$place/node" "$place/$program.mjs" "$@"
`,
);

function pack(file, files) {
  shell(`tar c ${files.map((f) => `'${f}'`).join(' ')} | xz -T0 -6 > '${join(folder, file)}'`);
}

function shell(command) {
  const { status } = spawnSync('sh', ['-c', command], { stdio: 'inherit' });
  if (status !== 0) exit(status ?? 1);
}
