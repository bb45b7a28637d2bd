import type { UserProjectConfigExport } from 'vitest/config';

/** What a package's tests want besides. */
interface Extras {
  readonly env?: Record<string, string>;
  readonly globalSetup?: string[];
}

/** The part of a package's vitest configuration that is the same everywhere: siblings resolve to their sources. */
export function project(name: string, extras: Extras = {}): UserProjectConfigExport {
  return {
    ssr: { resolve: { conditions: ['@tensorwright/source', 'module', 'node', 'import', 'default'] } },
    test: {
      name,
      include: ['test/**/*.test.ts'],
      // `vmThreads` breaks `await using`; forks keep a crash of the addon inside one test file.
      pool: 'forks',
      ...extras,
    },
  };
}
