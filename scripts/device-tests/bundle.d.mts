export function deviceTests(): Record<string, string>;
export function bundleTests(outdir: string, tests: Readonly<Record<string, string>>): Promise<void>;
