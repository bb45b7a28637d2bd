/** The command tree. A command's module is loaded when it is used, so that starting up stays fast. */

import { Command, CommanderError } from 'commander';
import { TensorwrightError } from '@tensorwright/core';
import { CommandError, type ExitCode, exitCodeOf, exitCodes, usageError } from './exit-codes.js';
import { normaliseArguments } from './options/trtexec-names.js';
import { paint } from './output/style.js';
import { pluginHint } from './plugins/plugin-hint.js';
import type { Session } from './session.js';
import { version } from './version.js';

/** Declares a command's arguments, options and action. */
export type DefineCommand = (command: Command, session: Session) => void;

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ readonly define: DefineCommand }>;
}

export const commands: readonly CommandEntry[] = [
  { name: 'build', summary: 'build an ONNX model into a plan', load: () => import('./commands/build.js') },
  {
    name: 'bench',
    summary: 'measure latency and throughput of a model or plan',
    load: () => import('./commands/bench.js'),
  },
  {
    name: 'run',
    summary: 'run a model or plan, and compare its outputs',
    load: () => import('./commands/run.js'),
  },
  { name: 'inspect', summary: 'show what a model or plan consists of', load: () => import('./commands/inspect.js') },
  { name: 'plugins', summary: 'list the plugins that models can name', load: () => import('./commands/plugins.js') },
  { name: 'doctor', summary: 'check what works on this machine', load: () => import('./commands/doctor.js') },
  {
    name: 'completion',
    summary: 'print a completion script for a shell',
    load: () => import('./commands/completion.js'),
  },
];

/** @param wanted the commands whose options and actions are needed; the others only have their summary. */
export async function createProgram(session: Session, wanted: (name: string) => boolean): Promise<Command> {
  const program = new Command('tensorwright')
    .description('Builds trained ONNX models into optimized plans, and runs them.')
    .version(version, '-V, --version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => session.stdout.write(text),
      writeErr: (text) => session.stderr.write(text),
      getOutHelpWidth: () => session.stdout.columns ?? 100,
    })
    .showHelpAfterError('(--help lists the options)')
    .enablePositionalOptions();
  for (const entry of commands) {
    const command = program
      .command(entry.name)
      .summary(entry.summary)
      .description(`${entry.summary[0]!.toUpperCase()}${entry.summary.slice(1)}.`);
    if (!wanted(entry.name)) continue;
    (await entry.load()).define(command, session);
  }
  return program;
}

/** Runs one command line to its end; messages have been written by then. */
export async function runCommandLine(argv: readonly string[], session: Session): Promise<ExitCode> {
  const args = normaliseArguments(argv);
  const name = args.find((a) => !a.startsWith('-'));
  try {
    const helped = name === 'help' ? args.find((a) => a !== 'help' && !a.startsWith('-')) : name;
    if (name === 'help' && helped !== undefined && !commands.some((c) => c.name === helped))
      throw usageError(`there is no command '${helped}'; there are ${commands.map((c) => c.name).join(', ')}`);
    const program = await createProgram(session, (candidate) => candidate === helped);
    if (args.length === 0) {
      program.outputHelp();
      return exitCodes.usage;
    }
    await program.parseAsync([...args], { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    // Commander has written its message; 0 means that help or the version was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if (session.signal.aborted) {
      session.stderr.write('interrupted\n');
      return exitCodes.interrupted;
    }
    report(error, session);
    return exitCodeOf(error);
  }
}

function report(error: unknown, session: Session): void {
  const label = paint(session.stderr, session.env)('red', 'error:');
  if (error instanceof CommandError) session.stderr.write(`${label} ${error.message}\n`);
  else if (TensorwrightError.is(error)) session.stderr.write(`${label} ${error.message} (${error.code})\n`);
  // Anything else is a defect of ours, and its place is what helps.
  else session.stderr.write(`${label} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  const hint = pluginHint(error);
  if (hint !== undefined) session.stderr.write(`hint: ${hint}\n`);
}
