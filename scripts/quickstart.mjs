// `npm run quickstart`: from a fresh clone to the main job in one command.
import { argv } from 'node:process';
import { fail, run } from './process.mjs';
import { setup } from './setup.mjs';

setup();
if (!run(process.execPath, ['samples/quickstart/main.mjs', ...argv.slice(2)])) fail('The quick start failed.');
