// `npm test`: sets up, then runs every check that needs no GPU, all of them even when one fails. The last line is
// `N passed, N failed`: single tests of the test suites, and each other check as one.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, runTool } from './process.mjs';
import { setup } from './setup.mjs';

const resultFolder = join(root, '.cache', 'test');
const total = { passed: 0, failed: 0 };
const failures = [];

setup();
rmSync(resultFolder, { recursive: true, force: true });
mkdirSync(resultFolder, { recursive: true });

check('format', runTool('prettier', ['--check', '--log-level=warn', '.']));
check('lint', runTool('eslint', ['.']));
check('typecheck', runTool('nx', ['run-many', '-t', 'typecheck', '--outputStyle=stream']));
check('typecheck of the configuration', runTool('tsc', ['-p', 'tsconfig.json']));
check('packages', run(process.execPath, ['scripts/check-packages.mjs']));
nativeTests();
unitTests();

writeFileSync(join(resultFolder, 'summary.json'), `${JSON.stringify(total)}\n`);
if (failures.length > 0) console.error(`\nFailed: ${failures.join(', ')}`);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;

function check(name, succeeded) {
  count(name, succeeded, succeeded ? 1 : 0, succeeded ? 0 : 1);
}

/** A suite that fails without a failed test (a file that does not load, a crash) counts as one failure. */
function count(name, succeeded, passed, failed) {
  total.passed += passed;
  total.failed += succeeded ? failed : Math.max(failed, 1);
  if (!succeeded) failures.push(name);
}

function unitTests() {
  const file = join(resultFolder, 'unit.json');
  const succeeded = runTool('vitest', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`]);
  const report = parse(file, (text) => JSON.parse(text));
  count('unit tests', succeeded, report?.numPassedTests ?? 0, report?.numFailedTests ?? 0);
}

/** The C++ tests, through the build target that also builds them, and the emulator that the CUDA tests run on. */
function nativeTests() {
  const file = join(resultFolder, 'native.xml');
  const succeeded = runTool('nx', ['run', '@tensorwright/native:test:native', '--outputStyle=stream'], {
    env: { TENSORWRIGHT_JUNIT: file },
  });
  const report = parse(file, (text) => {
    const number = (name) => Number(new RegExp(`<testsuite[^>]*\\s${name}="(\\d+)"`).exec(text)?.[1] ?? 0);
    return {
      passed: number('tests') - number('failures') - number('skipped') - number('disabled'),
      failed: number('failures'),
    };
  });
  count('native tests', succeeded, report?.passed ?? 0, report?.failed ?? 0);
}

function parse(file, read) {
  try {
    return read(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
