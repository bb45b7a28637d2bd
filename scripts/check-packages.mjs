// Checks the published packages as a user's tools see them, from their built files: publint, the types of each entry
// point (attw), unused files and dependencies (knip), and the lock file.
import { fail, publishedPackages, run, runTool } from './process.mjs';

if (!runTool('nx', ['run-many', '-t', 'build', '--outputStyle=stream'])) fail('The build failed.');
const folders = publishedPackages();
const failed = [];
for (const folder of folders) {
  if (!runTool('publint', ['run', folder, '--strict'])) failed.push(`publint ${folder}`);
  if (!runTool('attw', ['--pack', folder, '--profile', 'esm-only'])) failed.push(`attw ${folder}`);
}
if (!runTool('knip', [])) failed.push('knip');
if (!run(process.execPath, ['scripts/check-lock.mjs'])) failed.push('lock file');

console.log(failed.length === 0 ? `\nAll ${folders.length} packages are in order.` : `\nFailed: ${failed.join(', ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
