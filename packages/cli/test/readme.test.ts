/** The README tells every option that there is, and none that there is not. */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { normaliseArguments } from '../src/options/trtexec-names.js';
import { commands, createProgram } from '../src/program.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const stream = { write: () => true };
const program = await createProgram(
  { stdout: stream, stderr: stream, env: {}, signal: new AbortController().signal, self: [] },
  () => true,
);

/** Of a command, as one writes them. */
function optionsOf(name: string): Set<string> {
  const { options } = program.commands.find((c) => c.name() === name)!;
  const shown = options.filter((o) => !o.hidden).flatMap((o) => [o.short, o.long]);
  return new Set(shown.filter((flag) => typeof flag === 'string'));
}

const flag = /(?<![\w-])--?[A-Za-z][\w-]*/g;
const optionsIn = (text: string): string[] => normaliseArguments([...text.matchAll(flag)].map(([name]) => name));
/** `-vv` is `-v` twice. */
const single = (name: string): string => (/^-(\w)\1+$/.test(name) ? name.slice(0, 2) : name);

/** Pages in these folders and in folders in them. */
function pages(): string[] {
  const root = join(import.meta.dirname, '../../..');
  const folders = ['packages', 'samples', 'templates'].flatMap((f) => [
    ...readdirSync(join(root, f)).flatMap((name) => [join(root, f, name), join(root, f, name, 'docs')]),
    join(root, f),
  ]);
  return [root, join(root, 'docs'), ...folders].flatMap((folder) =>
    existsSync(folder) && statSync(folder).isDirectory()
      ? readdirSync(folder).flatMap((name) => (name.endsWith('.md') ? [join(folder, name)] : []))
      : [],
  );
}

it('examples on all pages have options of their commands', () => {
  const examples = pages().flatMap((page) =>
    [
      ...readFileSync(page, 'utf8')
        .replaceAll('\\\n', ' ')
        .matchAll(/^ *(?:\$ )?(?:npx )?tensorwright (\w+) (.*)$/gm),
    ].map(([line, name, rest]) => ({ page, line, name: name!, rest: rest! })),
  );
  expect(examples.length).toBeGreaterThan(15);
  const wrong = examples.flatMap(({ page, line, name, rest }) => {
    if (!commands.some((c) => c.name === name)) return [`${page}: ${line}`];
    const known = optionsOf(name);
    const own = rest.replace(/#.*$|'[^']*'|[|>].*$/g, '');
    return optionsIn(own).flatMap((o) => (known.has(single(o)) ? [] : [`${page}: ${o} of ${line}`]));
  });
  expect(wrong).toEqual([]);
});

describe('the README', () => {
  it.each(commands.map((c) => c.name))('tells the options of %s', (name) => {
    const told = new Set(optionsIn(readme));
    expect([...optionsOf(name)].filter((option) => !told.has(option))).toEqual([]);
  });

  it('tells no options that no command has', () => {
    const known = new Set([...commands.flatMap((c) => [...optionsOf(c.name)]), '--help', '--version']);
    const spans = [...readme.matchAll(/`([^`\n]+)`/g)].map(([, text]) => text!);
    // An option of ONNX's or a package manager's tools is none of ours.
    const told = spans.filter((s) => /^--?[A-Za-z]/.test(s)).flatMap(optionsIn);
    expect(told.length).toBeGreaterThan(50);
    expect(told.map(single).filter((option) => !known.has(option))).toEqual([]);
  });
});
