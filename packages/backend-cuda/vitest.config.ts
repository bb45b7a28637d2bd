import { defineProject } from 'vitest/config';
import { project } from '../../scripts/vitest-project.ts';
import { emulated } from './test/support/emulator.ts';

export default defineProject(project('backend-cuda', { env: emulated(), globalSetup: ['test/support/emulator.ts'] }));
