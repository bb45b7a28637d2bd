/** Finding and opening the addon: lazily, on first use, without ever compiling or downloading anything. */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Binding } from './binding.js';
import { NativeError, NativeLoadError } from './errors.js';

/** The addon's interface this package speaks. */
const interfaceNumber = 2;

/** 'linux-x64-gnu' and the like; undefined where there is no libc to tell. */
function platformName(): string {
  const { platform, arch } = process;
  if (platform !== 'linux') return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`;
  return `linux-${arch}-${glibcVersion() === undefined ? 'musl' : 'gnu'}`;
}

function glibcVersion(): string | undefined {
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  if (!report) return undefined;
  // Without this the report looks up the names of open connections, which can take seconds.
  report.excludeNetwork = true;
  return (report.getReport() as { header?: { glibcVersionRuntime?: string } }).header?.glibcVersionRuntime;
}

/** Literal names, so that bundlers and strict package managers see them. */
function requirePlatformPackage(name: string, require: NodeJS.Require): unknown {
  switch (name) {
    case 'linux-x64-gnu':
      return require('@tensorwright/native-linux-x64-gnu');
    case 'linux-arm64-gnu':
      return require('@tensorwright/native-linux-arm64-gnu');
    case 'darwin-arm64':
      return require('@tensorwright/native-darwin-arm64');
    case 'win32-x64-msvc':
      return require('@tensorwright/native-win32-x64-msvc');
    default:
      throw new Error(`no package is published for ${name}`);
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  if (code === 'ERR_DLOPEN_DISABLED') return 'native addons are switched off here; run node with --allow-addons';
  if (code === 'MODULE_NOT_FOUND') return 'not installed';
  return (message ?? String(error)).split('\n')[0] ?? '';
}

function checked(binding: Binding, path: string): Binding {
  if (binding.interfaceNumber === interfaceNumber) return binding;
  throw new Error(
    `${path} has interface ${String(binding.interfaceNumber)}, this version of @tensorwright/native needs ${String(interfaceNumber)}`,
  );
}

export interface LoadedBinding {
  readonly binding: Binding;
  /** Of the addon's file. */
  readonly path: string;
}

/** @throws NativeLoadError with every place tried */
export function loadBinding(): LoadedBinding {
  const require = createRequire(import.meta.url);
  const tried: { path: string; reason: string }[] = [];
  const attempt = (path: string, open: () => unknown): LoadedBinding | undefined => {
    try {
      return { binding: checked(open() as Binding, path), path };
    } catch (error) {
      tried.push({ path, reason: reasonOf(error) });
      return undefined;
    }
  };
  const root = fileURLToPath(new URL('..', import.meta.url));
  const built = join(root, 'build', 'Release', 'tensorwright.node');
  const named = process.env['TENSORWRIGHT_NATIVE_PATH'];
  // A path somebody has named is the only one: silently using another binary would hide the mistake.
  const loaded = named
    ? attempt(named, () => require(named))
    : (attempt(built, () => require(built)) ?? openPlatformPackage(attempt, require));
  if (!loaded) throw failure(tried);
  loaded.binding.setErrorFactory((code, message) => new NativeError(code, message));
  return loaded;
}

function openPlatformPackage(
  attempt: (path: string, open: () => unknown) => LoadedBinding | undefined,
  require: NodeJS.Require,
): LoadedBinding | undefined {
  const platform = platformName();
  const name = `@tensorwright/native-${platform}`;
  const loaded = attempt(name, () => requirePlatformPackage(platform, require));
  return loaded && { ...loaded, path: require.resolve(name) };
}

function failure(tried: { path: string; reason: string }[]): NativeLoadError {
  const glibc = glibcVersion();
  const lines = [
    `the native addon of Tensorwright could not be loaded on ${process.platform}-${process.arch}${glibc === undefined ? '' : ` (glibc ${glibc})`}`,
    ...tried.map(({ path, reason }) => `- ${path}: ${reason}`),
    `Install it with: npm install @tensorwright/native-${platformName()}`,
    'In a clone of the repository, build it with: npm run build:addon -w @tensorwright/native',
  ];
  return new NativeLoadError(lines.join('\n'), tried);
}
