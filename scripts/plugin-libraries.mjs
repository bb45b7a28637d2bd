// node scripts/plugin-libraries.mjs FOLDER
// Compiles the plugin libraries that packages/harness/src/plugin-library checks and times, and puts its model beside them.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { argv, env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { fail, root } from './process.mjs';

const libraries = [
  { file: 'swiglu-1.so', source: 'samples/plugin-library/swiglu.cpp' },
  { file: 'swiglu-2.so', source: 'samples/plugin-library/swiglu.cpp', flags: ['-DPLUGIN_VERSION="2"'] },
  { file: 'relu.so', source: 'packages/harness/src/plugin-library/relu.cpp' },
];

export function compilePluginLibraries(folder) {
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(root, 'samples/plugin-onnx/snake.onnx'), join(folder, 'snake.onnx'));
  for (const { file, source, flags = [] } of libraries) {
    const words = ['-std=c++17', '-O2', '-fPIC', '-shared', '-fvisibility=hidden', `-I${join(root, 'native/include')}`];
    const command = [...words, ...flags, join(root, source), '-o', join(folder, file), '-ldl'];
    if (spawnSync(env.CXX ?? 'c++', command, { stdio: 'inherit' }).status !== 0) fail(`${file} does not compile.`);
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) compilePluginLibraries(argv[2] ?? fail('Expected a folder.'));
