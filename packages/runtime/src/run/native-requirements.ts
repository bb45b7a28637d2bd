/** Whether this machine has what a plan's native steps need. */

import { type PlanHeader, TensorwrightError } from '@tensorwright/core';
import { loadNative, type Native } from '@tensorwright/native';

/** Backends whose segments the native executor runs. */
export const nativeBackends: ReadonlySet<string> = new Set(['cpu', 'cuda']);

/** @throws ERR_BACKEND_UNAVAILABLE saying what is missing: the addon, a device, a library, instructions of the processor */
export async function openNative({ backends }: PlanHeader, place: string): Promise<Native> {
  const wanted = backends.filter((b) => nativeBackends.has(b.name));
  let native: Native;
  try {
    native = loadNative();
  } catch (cause) {
    const names = wanted.map((b) => `'${b.name}'`).join(' and ');
    throw new TensorwrightError(
      'ERR_BACKEND_UNAVAILABLE',
      `${place}: the plan needs backend ${names}, and the native library cannot be loaded: ${(cause as Error).message}`,
      { file: place, backends: wanted },
      { cause },
    );
  }
  for (const { name, version, needs } of wanted) {
    const details = { file: place, backend: name, version, needs };
    if (name === 'cuda') await requireDevice(native, needs, place, details);
    else requireFeatures(native, needs, place, details);
  }
  return native;
}

function requireFeatures(native: Native, needs: readonly string[], place: string, details: object): void {
  const features = native.features();
  const missing = needs.filter((n) => !features.includes(n));
  if (missing.length === 0) return;
  throw new TensorwrightError(
    'ERR_BACKEND_UNAVAILABLE',
    `${place}: the plan's kernels need ${missing.join(', ')}; this processor has ${features.join(', ')}. Build the plan on this machine`,
    { ...details, missing },
  );
}

async function requireDevice(native: Native, needs: readonly string[], place: string, details: object): Promise<void> {
  const libraries = (['cublasLt', 'cudnn'] as const).filter((l) => needs.some((need) => need.split(' ')[0] === l));
  await native.cuda.open(libraries);
  const status = native.cuda.status();
  const refuse = (why: string): never => {
    throw new TensorwrightError('ERR_BACKEND_UNAVAILABLE', `${place}: the plan needs ${why}`, { ...details, status });
  };
  if (!status.available) return refuse(`backend 'cuda': ${status.reason}`);
  for (const need of needs) {
    const [library, major] = need.split(' ');
    if (library !== 'cublasLt' && library !== 'cudnn') return refuse(`${need}, which this version does not know`);
    const { version, reason } = status[library];
    if (version === undefined) return refuse(`${need}: ${reason}`);
    const found = Number.parseInt(version);
    // Later ones of cuBLASLt have all that earlier ones had; engines of cuDNN are those of one major version.
    const fits = library === 'cublasLt' ? found >= Number(major) : found === Number(major);
    if (!fits) return refuse(`${need}; this machine has ${version}`);
  }
}
