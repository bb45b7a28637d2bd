/** What the file system says, in words. */

/** Why a file cannot be read: the end of a sentence that names it. */
export function whyUnreadable(cause: unknown): string {
  const { code, message } = cause as { readonly code?: string; readonly message?: string };
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
    case 'EPERM':
      return 'no permission to read it';
    case 'EISDIR':
      return 'it is a folder';
    default:
      return `it cannot be read (${code ?? message ?? String(cause)})`;
  }
}
