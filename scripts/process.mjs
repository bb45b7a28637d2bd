import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** nx without a daemon left behind: these scripts also run where nobody will stop it. */
const environment = { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false' };

/** Runs a command in the repository root with its output shown, and says whether it succeeded. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  console.log(`\n> ${[command, ...args].join(' ')}`);
  const result = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...environment, ...env },
  });
  if (result.error) console.error(String(result.error));
  return result.status === 0;
}

/** Like `run`, for commands of the installed npm packages. */
export function runTool(tool, args, options) {
  return run(join(root, 'node_modules', '.bin', tool), args, options);
}

/** Whether a program of this name is on the PATH. */
export function found(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}

/** The folders of the packages that are published. */
export function publishedPackages() {
  return [...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`), 'native'].filter(
    (folder) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')).private !== true,
  );
}

export function fail(message) {
  console.error(`\n${message}`);
  process.exit(1);
}
