/** Names of trtexec's options where ours means the same: `--minShapes=…` is `--min-shapes=…`. */

const renamed: Readonly<Record<string, string>> = {
  '--save-engine': '--output',
  '--inf-streams': '--streams',
  '--builder-optimization-level': '--level',
  '--use-profile': '--profile',
  '--load-ref-outputs': '--load-outputs',
  '--static-plugins': '--plugins',
  '--dynamic-plugins': '--plugins',
};

export function normaliseArguments(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((argument, i) => {
    if ((end !== -1 && i >= end) || !argument.startsWith('--')) return argument;
    const equals = argument.indexOf('=');
    const name = equals === -1 ? argument : argument.slice(0, equals);
    const kebab = name.replace(/[a-z0-9][A-Z]/g, (pair) => `${pair[0]!}-${pair[1]!.toLowerCase()}`);
    return (renamed[kebab] ?? kebab) + (equals === -1 ? '' : argument.slice(equals));
  });
}
