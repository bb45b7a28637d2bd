/** Names as options give them: `*` matches any characters. */

export type NameMatcher = (name: string) => boolean;

export function matcherOf(patterns: readonly string[]): NameMatcher {
  const tests = patterns.map((p) => new RegExp(`^${p.split('*').map(escape).join('.*')}$`, 's'));
  return (name) => tests.some((t) => t.test(name));
}

function escape(text: string): string {
  return text.replace(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`);
}
