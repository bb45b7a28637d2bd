/** `tensorwright doctor`: what works on this machine. What could crash runs in a process of its own. */

import { spawn } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import { type Command, Option } from 'commander';
import { CommandError, exitCodes } from '../exit-codes.js';
import { formatBytes } from '../output/format.js';
import { writeJson } from '../output/json.js';
import { paint, type Style } from '../output/style.js';
import { formatFields } from '../output/table.js';
import type { Session } from '../session.js';
import { version } from '../version.js';

interface DoctorFlags {
  readonly json?: boolean;
  readonly probe?: ProbeName;
}

type Status = 'ok' | 'note' | 'failed';

interface Check {
  readonly name: string;
  readonly status: Status;
  readonly text: string;
  /** The same as data. */
  readonly data?: unknown;
}

export function define(command: Command, session: Session): void {
  command
    .option('--json', 'print one JSON document')
    .addOption(new Option('--probe <name>', 'one check, in this process').choices(Object.keys(probes)).hideHelp())
    .action((flags: DoctorFlags) => doctor(flags, session));
}

async function doctor(flags: DoctorFlags, session: Session): Promise<void> {
  if (flags.probe) {
    session.stdout.write(`${JSON.stringify(await probes[flags.probe]())}\n`);
    return;
  }
  const probed = await Promise.all((Object.keys(probes) as ProbeName[]).map((name) => probeInChild(name, session)));
  const checks: Check[] = [...ownChecks(), ...probed.flat()];
  const healthy = checks.every((c) => c.status !== 'failed');
  if (flags.json) {
    writeJson(session, 'doctor', { healthy, checks });
  } else {
    const painter = paint(session.stdout, session.env);
    const styles: Record<Status, Style> = { ok: 'green', note: 'yellow', failed: 'red' };
    session.stdout.write(
      formatFields(
        checks.map((c) => [c.name, c.status === 'ok' ? c.text : `${painter(styles[c.status], c.status)}: ${c.text}`]),
      ),
    );
  }
  if (!healthy)
    throw new CommandError(exitCodes.unavailable, 'something that Tensorwright needs does not work on this machine');
}

function ownChecks(): Check[] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const supported = major > 20 || (major === 20 && minor >= 19);
  const processors = cpus();
  return [
    { name: 'tensorwright', status: 'ok', text: version, data: { version } },
    {
      name: 'node',
      status: supported ? 'ok' : 'failed',
      text: supported ? process.version : `${process.version}, 20.19 or newer is needed`,
      data: { version: process.version },
    },
    {
      name: 'platform',
      status: 'ok',
      text: `${process.platform}-${process.arch}, ${libc()}`,
      data: { platform: process.platform, arch: process.arch, libc: libc() },
    },
    {
      name: 'processor',
      status: 'ok',
      text: `${processors[0]?.model.trim() ?? 'unknown'}, ${processors.length} logical cores, ${formatBytes(totalmem())} memory`,
      data: { model: processors[0]?.model.trim() ?? null, logicalCores: processors.length, memoryBytes: totalmem() },
    },
  ];
}

function libc(): string {
  if (process.platform !== 'linux') return 'no libc to tell';
  const report = process.report as (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined;
  if (!report) return 'unknown libc';
  // Without this the report looks up the names of open connections, which can take seconds.
  report.excludeNetwork = true;
  const glibc = (report.getReport() as { header?: { glibcVersionRuntime?: string } }).header?.glibcVersionRuntime;
  return glibc === undefined ? 'musl' : `glibc ${glibc}`;
}

const probes = { native: probeNative, backends: probeBackends, cuda: probeCuda, onnxruntime: probeOnnxRuntime };
type ProbeName = keyof typeof probes;

async function probeNative(): Promise<Check[]> {
  const { loadNative } = await import('@tensorwright/native');
  try {
    const native = loadNative();
    const data = {
      interfaceNumber: native.interfaceNumber,
      isa: native.isa(),
      features: native.features(),
      threads: native.defaultThreads(),
      kernels: native.kernelNames().length,
    };
    return [
      {
        name: 'native addon',
        status: 'ok',
        text: `${data.isa} (${data.features.join(' ')}), ${data.threads} threads, ${data.kernels} kernels`,
        data,
      },
    ];
  } catch (error) {
    return [{ name: 'native addon', status: 'failed', text: (error as Error).message }];
  }
}

async function probeBackends(): Promise<Check[]> {
  const { loadBackend } = await import('@tensorwright/core');
  const { registerOwnBackends } = await import('../models/build-plan.js');
  await registerOwnBackends();
  return Promise.all(
    ['cuda', 'cpu', 'reference'].map(async (name): Promise<Check> => {
      try {
        const backend = await loadBackend(name);
        const device = backend.device();
        const reason = device ? undefined : backend.unavailable?.();
        const data = {
          name,
          version: backend.version,
          device: device?.id ?? null,
          ...(reason !== undefined && { reason }),
        };
        return device
          ? { name: `backend ${name}`, status: 'ok', text: `${backend.version}, ${device.description}`, data }
          : // What is missing besides, the addon's own line tells in full.
            {
              name: `backend ${name}`,
              status: 'note',
              text: `${backend.version}, ${reason?.split('\n')[0] ?? 'no device'}`,
              data,
            };
      } catch (error) {
        return {
          name: `backend ${name}`,
          status: 'note',
          text: `not installed`,
          data: { name, reason: (error as Error).message },
        };
      }
    }),
  );
}

/** What kernels of a GPU are compiled with, and the libraries that tactics may call. Nothing to say without a GPU. */
async function probeCuda(): Promise<Check[]> {
  const { loadNative } = await import('@tensorwright/native');
  const load = (): ReturnType<typeof loadNative> | undefined => {
    try {
      return loadNative();
    } catch {
      return undefined;
    }
  };
  const status = load()?.cuda.status();
  if (status?.available !== true) return [];
  const check = (name: string, version: string | undefined, reason: string | undefined): Check => ({
    name,
    status: version === undefined ? 'note' : 'ok',
    text: version ?? reason ?? 'missing',
    data: { version: version ?? null },
  });
  return [
    check('NVIDIA driver', `CUDA ${status.driver}`, undefined),
    check('NVRTC', status.compiler, status.compilerReason),
    check('cuBLASLt', status.cublasLt.version, status.cublasLt.reason),
    check('cuDNN', status.cudnn.version, status.cudnn.reason),
  ];
}

async function probeOnnxRuntime(): Promise<Check[]> {
  const { loadOnnxRuntime } = await import('../compare/onnxruntime-peer.js');
  const name = 'onnxruntime-node';
  try {
    const ort = await loadOnnxRuntime();
    if (!ort)
      return [
        {
          name,
          status: 'note',
          text: 'not installed: `run` compares with the reference instead',
          data: { version: null },
        },
      ];
    const ortVersion = ort.env.versions.node ?? 'unknown version';
    return [{ name, status: 'ok', text: ortVersion, data: { version: ortVersion } }];
  } catch (error) {
    return [
      {
        name,
        status: 'note',
        text: `installed, but it cannot be loaded: ${(error as Error).message.split('\n')[0]!}`,
        data: { version: null },
      },
    ];
  }
}

const probeTimeoutMs = 30_000;

/** A crash in a probe is one more finding. */
function probeInChild(name: ProbeName, session: Session): Promise<Check[]> {
  return new Promise((resolve) => {
    const [command, ...args] = session.self;
    const child = spawn(command!, [...args, 'doctor', '--probe', name], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: probeTimeoutMs,
      signal: session.signal,
      env: session.env,
    });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const failed = (reason: string): void =>
      resolve([
        {
          name: name === 'native' ? 'native addon' : name,
          status: name === 'native' ? 'failed' : 'note',
          text: reason,
        },
      ]);
    child.once('error', (error) => failed(error.message));
    child.once('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(out) as Check[]);
      else
        failed(
          `the process that tried it ended with ${signal ?? `exit code ${String(code)}`}${err === '' ? '' : `: ${err.trim().split('\n').slice(0, 3).join(' ')}`}`,
        );
    });
  });
}
