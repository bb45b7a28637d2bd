import { defineProject } from 'vitest/config';
import { project } from '../../scripts/vitest-project.ts';
import { emulated } from '../backend-cuda/test/support/emulator.ts';

export default defineProject(project('harness', { env: emulated() }));
