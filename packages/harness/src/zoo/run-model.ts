/** One model: build, load, run, compare with the peer, time both in turn. */

import { Builder, type BuildOptions } from '@tensorwright/builder';
import { Tensor, type TensorType } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Accuracy, testAccuracy } from './accuracy.js';
import { normalisedError } from './compare.js';
import { compareDetections, type DetectionComparison } from './detections.js';
import { compareHeads, type HeadError } from './heads.js';
import { nudged, seededInputs, usualDims, usualExtents } from './inputs.js';
import { openPeer } from './peer.js';
import { median } from '../median.js';

export interface ModelJob {
  readonly name: string;
  readonly path: string;
  readonly backends: readonly string[] | undefined;
  readonly precision: readonly string[];
  readonly peer: boolean;
  readonly threads: number;
  readonly level: 0 | 1 | 2 | 3 | 4 | 5;
  /** Libraries that tactics may call; undefined: all. */
  readonly tacticSources: BuildOptions['tacticSources'];
  readonly timingCache: string | undefined;
  /** Milliseconds of alternating runs. */
  readonly durationMs: number;
  readonly layers: boolean;
  /** For inputs whose dims are symbolic. */
  readonly batch: number;
  readonly sequence: number;
  /** Folder of labelled images that this model classifies. */
  readonly images: string | undefined;
}

export interface ModelReport {
  readonly name: string;
  readonly outputs: readonly { readonly name: string; readonly nrms: number }[];
  /** Of models whose outputs are boxes, scores and labels. */
  readonly detections: DetectionComparison | null;
  /**
   * Where they differ: the peer's compared with its own on inputs changed in the last bit. A model that keeps fewer
   * boxes of these than we have of the peer's determines none of them to float32's precision.
   */
  readonly steadiness: DetectionComparison | null;
  /** Of models that select boxes: what they are selected from. */
  readonly heads: readonly HeadError[] | null;
  /** On the labelled test images, where there are any. */
  readonly accuracy: Accuracy | null;
  readonly ms: number | null;
  /** Of the device alone, its work recorded as one graph; null where there is no device. */
  readonly deviceMs: number | null;
  /** Of the host to start that graph. */
  readonly enqueueUs: number | null;
  readonly peerMs: number | null;
  readonly buildMs: number | null;
  readonly loadMs: number | null;
  readonly planBytes: number | null;
  readonly peakBytes: number;
  readonly activationBytes: number | null;
  readonly lowerBoundBytes: number | null;
  readonly fallbacks: readonly { readonly node: string; readonly operator: string; readonly reason: string }[];
  readonly error: string | null;
  readonly layers?: readonly {
    readonly name: string;
    readonly tactic: string;
    readonly us: number;
    /** Of the host for a device, in a run. */
    readonly waits: number;
    /** When its tactic was chosen, alone; null where it was not timed. */
    readonly timedUs: number | null;
    readonly kind: string;
  }[];
}

export function failedReport(name: string, error: string): ModelReport {
  return {
    name,
    outputs: [],
    detections: null,
    steadiness: null,
    heads: null,
    accuracy: null,
    ms: null,
    deviceMs: null,
    enqueueUs: null,
    peerMs: null,
    buildMs: null,
    loadMs: null,
    planBytes: null,
    peakBytes: 0,
    activationBytes: null,
    lowerBoundBytes: null,
    fallbacks: [],
    error,
  };
}

export async function runModel(job: ModelJob): Promise<ModelReport> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorwright-zoo-'));
  try {
    const started = performance.now();
    const network = await OnnxParser.parseFile(job.path);
    const extents = { ...usualExtents, batch: job.batch, sequence: job.sequence };
    const inputs = seededInputs(network, extents);
    const profile = Object.fromEntries(
      network.inputs.map(({ name, value }) => [name, usualDims((value.type as TensorType).dims ?? [], extents)]),
    );
    const options: BuildOptions = {
      ...(job.backends && { backends: job.backends }),
      profiles: [profile],
      precision: Object.fromEntries(job.precision.map((p) => [p, true])),
      optimizationLevel: job.level,
      threads: job.threads,
      logger: ({ level, message }) => {
        if (level === 'warn') process.stderr.write(`${job.name}: ${message}\n`);
      },
      ...(job.tacticSources && { tacticSources: job.tacticSources }),
      ...(job.timingCache !== undefined && { timingCache: job.timingCache }),
    };
    const plan = await new Builder().build(network, options);
    const buildMs = performance.now() - started;
    const path = join(folder, 'model.plan');
    await plan.save(path);
    const loadStarted = performance.now();
    const engine = await Runtime.load(path, { threads: job.threads });
    const loadMs = performance.now() - loadStarted;
    const context = engine.createContext();
    const results = await context.run(inputs);
    const peer = job.peer ? await openPeer(job.path, job.threads) : undefined;
    const wanted = await peer?.run(inputs);
    const outputs = wanted
      ? Object.entries(results).map(([name, got]) => ({
          name,
          nrms: got instanceof Tensor ? normalisedError(got, wanted[name]!) : Infinity,
        }))
      : [];
    const tensors = Object.fromEntries(Object.entries(results).filter(([, t]) => t instanceof Tensor));
    const detections = (wanted && compareDetections(tensors, wanted)) ?? null;
    const steadiness =
      detections?.equal === false ? (compareDetections(await peer!.run(nudged(inputs)), wanted!) ?? null) : null;
    const accuracy = job.images === undefined ? null : await testAccuracy(engine, job.images);
    const device = await context.run(inputs).then(() => context.deviceTimes(200));
    const times = await alternate(() => context.run(inputs), peer && (() => peer.run(inputs)), job.durationMs);
    let layers: ModelReport['layers'];
    if (job.layers) {
      context.setProfiling(true);
      for (let i = 0; i < 5; i++) await context.run(inputs);
      layers = context.profile().map((l, i) => ({
        name: l.name,
        tactic: l.tactic,
        kind: l.kind,
        us: l.microseconds / Math.max(1, l.calls),
        waits: l.waits / Math.max(1, l.calls),
        timedUs: plan.header.program.steps[i]!.layer.microseconds ?? null,
      }));
    }
    await peer?.release();
    await engine.close();
    const heads = job.peer ? await compareHeads(job.path, options, job.threads, inputs) : null;
    const { report } = plan.header;
    return {
      name: job.name,
      outputs,
      detections,
      steadiness,
      heads,
      accuracy,
      ms: times.own,
      deviceMs: device?.complete === true ? median(device.device) / 1000 : null,
      enqueueUs: device ? median(device.enqueue) : null,
      peerMs: times.peer,
      buildMs,
      loadMs,
      planBytes: (await stat(path)).size,
      peakBytes: process.resourceUsage().maxRSS * 1024,
      activationBytes: report.activationBytes,
      lowerBoundBytes: report.lowerBoundBytes,
      fallbacks: report.fallbacks,
      error: null,
      ...(layers && { layers }),
    };
  } catch (error) {
    return {
      ...failedReport(job.name, error instanceof Error ? (error.stack ?? error.message) : String(error)),
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Milliseconds of one side's runs before the other's turn. */
const blockMs = 150;

/**
 * Medians of blocks of runs in turn, so that both see the same machine. A block begins when the process has come to
 * rest: idle threads of ONNX Runtime spin for some 50 ms after a run and would take a core from whoever runs next.
 */
async function alternate(
  own: () => Promise<unknown>,
  peer: (() => Promise<unknown>) | undefined,
  durationMs: number,
): Promise<{ own: number; peer: number | null }> {
  const block = async (run: () => Promise<unknown>, times: number[]): Promise<void> => {
    await rest();
    await run();
    const end = performance.now() + blockMs;
    for (let i = 0; i < 2 || performance.now() < end; i++) {
      const t = performance.now();
      await run();
      times.push(performance.now() - t);
    }
  };
  const owns: number[] = [];
  const peers: number[] = [];
  const end = performance.now() + durationMs;
  while (owns.length < 6 || performance.now() < end) {
    await block(own, owns);
    if (peer) await block(peer, peers);
  }
  return { own: median(owns), peer: peer ? median(peers) : null };
}

/** Waits until the threads of this process are asleep, or for half a second. */
async function rest(): Promise<void> {
  for (let i = 0; i < 50; i++) {
    const before = process.cpuUsage();
    await sleep(10);
    const { user, system } = process.cpuUsage(before);
    if (user + system < 2000) return;
  }
}
