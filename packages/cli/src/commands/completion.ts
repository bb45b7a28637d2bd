/** `tensorwright completion`: scripts that complete commands and options, made from the command tree. */

import { Argument, type Command } from 'commander';
import type { Session } from '../session.js';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

export function define(command: Command, session: Session): void {
  command
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .addHelpText('after', '\nFor bash: eval "$(tensorwright completion bash)" in ~/.bashrc')
    .action(async (shell: Shell) => {
      const { createProgram } = await import('../program.js');
      session.stdout.write(scripts[shell](describeTree(await createProgram(session, () => true))));
    });
}

interface CommandDescription {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly {
    readonly flags: readonly string[];
    readonly description: string;
    readonly takesValue: boolean;
    readonly choices: readonly string[];
  }[];
  /** Values of the first argument; empty: files. */
  readonly choices: readonly string[];
}

function describeTree(program: Command): CommandDescription[] {
  return program.commands.map((command) => ({
    name: command.name(),
    summary: command.summary(),
    options: command.options
      .filter((o) => !o.hidden)
      .map((o) => ({
        flags: [o.short, o.long].filter((f) => f !== undefined && f !== null),
        description: o.description.split(/[;:(]/)[0]!.trim(),
        takesValue: o.required,
        choices: o.argChoices ?? [],
      })),
    choices: command.registeredArguments[0]?.argChoices ?? [],
  }));
}

const scripts: Readonly<Record<Shell, (commands: readonly CommandDescription[]) => string>> = { bash, zsh, fish };

function bash(commands: readonly CommandDescription[]): string {
  const cases = commands.map((c) => {
    const flags = [...c.options.flatMap((o) => o.flags), '--help'].join(' ');
    const values = c.options
      .filter((o) => o.choices.length > 0)
      .map((o) => `      ${o.flags.join('|')}) words='${o.choices.join(' ')}' ;;\n`);
    const files = c.options.filter((o) => o.takesValue && o.choices.length === 0).flatMap((o) => o.flags);
    return [
      `    ${c.name})\n      case "$previous" in\n`,
      ...values,
      files.length > 0 ? `      ${files.join('|')}) return ;;\n` : '',
      `      *) words='${[...c.choices, flags].join(' ')}'; [[ $current != -* ]] && words='${c.choices.join(' ')}' ;;\n      esac ;;\n`,
    ].join('');
  });
  return `# bash completion for tensorwright
_tensorwright() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=''
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${commands.map((c) => c.name).join(' ')} --help --version' -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('')}  esac
  [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _tensorwright tensorwright
`;
}

function zsh(commands: readonly CommandDescription[]): string {
  const cases = commands.map((c) => {
    const options = c.options.flatMap((o) =>
      o.flags.map((flag) => {
        const value = !o.takesValue ? '' : o.choices.length > 0 ? `:value:(${o.choices.join(' ')})` : ':value:_files';
        return `      '${flag}[${quoted(o.description.replace(/[[\]]/g, ''))}]${value}' \\\n`;
      }),
    );
    return `    ${c.name})\n      _arguments \\\n${options.join('')}      '*:file:${c.choices.length > 0 ? `(${c.choices.join(' ')})` : '_files'}' ;;\n`;
  });
  return `#compdef tensorwright
_tensorwright() {
  local -a commands=(
${commands.map((c) => `    '${c.name}:${quoted(c.summary)}'\n`).join('')}  )
  if ((CURRENT == 2)); then
    _describe 'command' commands
    return
  fi
  local command="\${words[2]}"
  shift words
  ((CURRENT--))
  case "$command" in
${cases.join('')}  esac
}
compdef _tensorwright tensorwright
`;
}

function fish(commands: readonly CommandDescription[]): string {
  const lines = commands.flatMap((c) => {
    const condition = `__fish_seen_subcommand_from ${c.name}`;
    return [
      `complete -c tensorwright -n __fish_use_subcommand -f -a ${c.name} -d '${quoted(c.summary)}'`,
      ...(c.choices.length > 0 ? [`complete -c tensorwright -n '${condition}' -f -a '${c.choices.join(' ')}'`] : []),
      ...c.options.map((o) => {
        const flags = o.flags.map((f) => (f.startsWith('--') ? `-l ${f.slice(2)}` : `-s ${f.slice(1)}`)).join(' ');
        const value = !o.takesValue ? '' : o.choices.length > 0 ? ` -x -a '${o.choices.join(' ')}'` : ' -r';
        return `complete -c tensorwright -n '${condition}' ${flags}${value} -d '${quoted(o.description)}'`;
      }),
    ];
  });
  return `# fish completion for tensorwright\n${lines.join('\n')}\n`;
}

/** Inside single quotes of all three shells. */
function quoted(text: string): string {
  return text.replaceAll("'", '’');
}
