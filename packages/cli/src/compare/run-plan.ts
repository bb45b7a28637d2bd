/** A plan, run as it is; where its model is given, on the same inputs by another implementation. */

import { readFile } from 'node:fs/promises';
import type { RuntimeValue } from '@tensorwright/core';
import type { Engine } from '@tensorwright/runtime';
import { usageError } from '../exit-codes.js';
import { inputValues } from '../models/input-values.js';
import { openPlan, optimumOf } from '../models/open-plan.js';
import { parseModel, requireModel } from '../models/subject.js';
import { oneShape } from '../options/build-options.js';
import { readModelFile } from '../onnx/model-file.js';
import { checkPeer, type PeerJob, withPeer } from './open-peer.js';
import type { Ran, RunSubject } from './ran.js';
import { readWanted, wantedOf } from './wanted-files.js';

export async function runPlan(subject: RunSubject): Promise<Ran> {
  const { path, flags, reporter, session } = subject;
  // Before the time that a run takes.
  const job = flags.model === undefined ? undefined : await peerJob(subject, flags.model);
  const engine = await openPlan(path, flags, reporter);
  try {
    if (job) checkSameModel(engine, job);
    const files = flags.loadOutputs && (await readWanted(flags.loadOutputs, engine.outputs));
    const inputs = await inputValues(
      engine.inputs,
      { shapes: oneShape(flags), otherwise: optimumOf(engine, 0), load: flags.loadInputs, seed: flags.seed },
      reporter,
    );
    const outputs = await engine.createContext().run<RuntimeValue>(inputs, { signal: session.signal });
    const ran = { inputs, outputs, engine: engine.inspect() };
    if (files) return { ...ran, peer: 'files', wanted: wantedOf(files, outputs) };
    if (!job) return { ...ran, peer: undefined, wanted: undefined };
    const theirs = await withPeer(flags.against, job, reporter, session.signal, async (peer) => ({
      peer: peer.name,
      wanted: await peer.run(inputs),
    }));
    return { ...ran, ...theirs };
  } finally {
    await engine.close();
  }
}

/** What its inputs are for is not known; but that they are the same ones. */
function checkSameModel(engine: Engine, { network, model: { path } }: PeerJob): void {
  const namesOf = (tensors: readonly { readonly name: string }[]): string =>
    tensors
      .map((t) => t.name)
      .sort()
      .join(', ');
  for (const side of ['inputs', 'outputs'] as const) {
    const [own, theirs] = [namesOf(engine[side]), namesOf(network[side])];
    if (own !== theirs)
      throw usageError(`--model: '${path}' is not the model of the plan: its ${side} are ${theirs}; the plan's ${own}`);
  }
}

async function peerJob({ flags, reporter, session }: RunSubject, path: string): Promise<PeerJob> {
  await requireModel(path, '--model');
  const file = readModelFile(await readFile(path), path);
  const network = await parseModel(path, reporter, session.signal);
  await checkPeer(flags.against, network);
  return { network, model: { path, bytes: file.bytes, file }, threads: flags.threads };
}
