/** Names as options give them: `*` matches any characters, line ends included. */

export type NameMatcher = (name: string) => boolean;

/** True for names that one of the patterns matches from end to end. */
export function nameMatcher(patterns: readonly string[]): NameMatcher {
  const tests = patterns.map((p) => new RegExp(`^${p.split('*').map(escape).join('.*')}$`, 's'));
  return (name) => tests.some((t) => t.test(name));
}

function escape(text: string): string {
  return text.replace(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`);
}
