// What tests import from 'vitest', where there is a bundle of them and nothing installed: its runner and its
// expectations, without the server around them. One file of tests a process: `state` is that of all of them.
import {
  addCustomEqualityTesters,
  ASYMMETRIC_MATCHERS_OBJECT,
  chai,
  customMatchers,
  getState,
  GLOBAL_EXPECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect';

export { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } from '@vitest/runner';

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin);

export const expect = Object.assign((value, message) => chai.expect(value, message), chai.expect, {
  ...globalThis[ASYMMETRIC_MATCHERS_OBJECT],
  addEqualityTesters: addCustomEqualityTesters,
  extend: (matchers) => chai.expect.extend(expect, matchers),
  fail: (message) => chai.expect.fail(message),
  getState: () => getState(expect),
  setState: (state) => setState(state, expect),
  // The first failure ends the test.
  soft: (value, message) => chai.expect(value, message),
});
setState({ assertionCalls: 0, currentTestName: '' }, expect);
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, configurable: true, writable: true });
expect.extend(customMatchers);

const timeout = 60_000;

/** What the runner is told, and tests change. */
export const config = {
  allowOnly: true,
  hookTimeout: timeout,
  includeTaskLocation: false,
  maxConcurrency: 5,
  name: '',
  passWithNoTests: false,
  retry: 0,
  root: process.cwd(),
  sequence: { concurrent: false, hooks: 'stack', seed: 1, setupFiles: 'list', shuffle: false },
  setupFiles: [],
  strictTags: false,
  tags: [],
  testTimeout: timeout,
};

export const vi = {
  // Imports come first in a bundle: only what the emulator reads is hoisted.
  hoisted: (factory) => factory(),
  setConfig: (changed) => {
    Object.assign(config, changed);
  },
};
