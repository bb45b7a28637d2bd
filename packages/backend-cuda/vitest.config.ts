import { defineProject, mergeConfig } from 'vitest/config';
import { project } from '../../scripts/vitest-project.ts';
import { emulated } from './test/support/emulator.ts';

export default mergeConfig(
  project('backend-cuda'),
  defineProject({ test: { env: emulated(), globalSetup: ['test/support/emulator.ts'] } }),
);
