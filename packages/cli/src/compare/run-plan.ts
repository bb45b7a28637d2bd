/** A plan, run as it is; where its model is given, on the same inputs by another implementation. */

import { readFile } from 'node:fs/promises';
import type { RuntimeValue } from '@tensorwright/core';
import { inputValues } from '../models/input-values.js';
import { openPlan, optimumOf } from '../models/open-plan.js';
import { parseModel, requireModel } from '../models/subject.js';
import { readModelFile } from '../onnx/model-file.js';
import { withPeer } from './open-peer.js';
import type { Ran, RunSubject } from './ran.js';
import { readWanted, wantedOf } from './wanted-files.js';

export async function runPlan(subject: RunSubject): Promise<Ran> {
  const { path, flags, reporter, session } = subject;
  const engine = await openPlan(path, flags, reporter);
  try {
    const files = flags.loadOutputs && (await readWanted(flags.loadOutputs, engine.outputs));
    const inputs = await inputValues(
      engine.inputs,
      { shapes: flags.shapes?.[0], otherwise: optimumOf(engine, 0), load: flags.loadInputs, seed: flags.seed },
      reporter,
    );
    const outputs = await engine.createContext().run<RuntimeValue>(inputs, { signal: session.signal });
    const ran = { inputs, outputs, engine: engine.inspect() };
    if (files) return { ...ran, peer: 'files', wanted: wantedOf(files, outputs) };
    if (flags.model === undefined || flags.against === 'none') return { ...ran, peer: undefined, wanted: undefined };
    return { ...ran, ...(await runByPeer(subject, flags.model, inputs)) };
  } finally {
    await engine.close();
  }
}

async function runByPeer(
  { flags, reporter, session }: RunSubject,
  path: string,
  inputs: Ran['inputs'],
): Promise<Pick<Ran, 'peer' | 'wanted'>> {
  await requireModel(path, '--model');
  const file = readModelFile(await readFile(path));
  const network = await parseModel(path, reporter, session.signal);
  const job = { network, model: { path, bytes: file.bytes, file }, threads: flags.threads };
  return withPeer(flags.against, job, reporter, session.signal, async (peer) => ({
    peer: peer.name,
    wanted: await peer.run(inputs),
  }));
}
