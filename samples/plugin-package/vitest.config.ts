import { defineProject } from 'vitest/config';
import { project } from '../../scripts/vitest-project.ts';

export default defineProject(project('sample-plugin-package'));
