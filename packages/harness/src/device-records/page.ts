/** Pages with tables that are written from records. */

/**
 * The page with the table between its marks: `<!-- NAME: written from bench/results -->` and `<!-- end of NAME -->`.
 * @throws Error where the page lacks them
 */
export function withTable(page: string, name: string, table: string): string {
  const begin = `<!-- ${name}: written from bench/results -->`;
  const end = `<!-- end of ${name} -->`;
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page has no '${begin}' before '${end}'`);
  return `${page.slice(0, from + begin.length)}\n\n${table}\n\n${page.slice(to)}`;
}
