/** `--device`: the one of the machine's NVIDIA GPUs that a command builds for and runs on. */

import { type Command, Option } from 'commander';
import { CommandError, exitCodes, usageError } from '../exit-codes.js';
import { registerOwnBackends } from '../models/build-plan.js';
import { integerFrom } from './values.js';

interface DeviceFlags {
  readonly device?: number;
  readonly backends?: readonly string[];
}

/** The driver's own choice of devices, read when it is first used, by this process and by those that it starts. */
const visibleDevices = 'CUDA_VISIBLE_DEVICES';

export function addDeviceOption(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--device <n>',
        `index of the NVIDIA GPU to build for and to run on, of those that ${visibleDevices} names (default: 0)`,
      ).argParser(integerFrom(0, 1023)),
    )
    .hook('preAction', (_, action) => useDevice(action.opts<DeviceFlags>()));
}

async function useDevice({ device, backends }: DeviceFlags): Promise<void> {
  if (device === undefined) return;
  if (backends && !backends.includes('cuda'))
    throw usageError(`--device names an NVIDIA GPU, and '${backends.join(',')}' has no cuda`);
  const named = process.env[visibleDevices];
  process.env[visibleDevices] = named === undefined ? String(device) : deviceOf(named, device);
  await registerOwnBackends();
  const { loadBackend } = await import('@tensorwright/core');
  const cuda = await loadBackend('cuda');
  if (!cuda.device())
    throw new CommandError(exitCodes.unavailable, `--device ${String(device)}: ${cuda.unavailable?.() ?? 'no device'}`);
}

function deviceOf(named: string, device: number): string {
  const name = named.split(',').filter((n) => n !== '')[device];
  if (name === undefined) throw usageError(`there is no device ${String(device)} among ${visibleDevices}=${named}`);
  return name;
}
