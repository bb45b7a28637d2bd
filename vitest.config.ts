import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: ['packages/*/vitest.config.ts', 'native/vitest.config.ts', 'samples/*/vitest.config.ts'],
    passWithNoTests: true,
    coverage: { provider: 'v8', include: ['packages/*/src/**', 'native/js/**'] },
  },
});
