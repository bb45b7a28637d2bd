/**
 * What a child process does that registers no plugin: loads the plan that its parent names, runs it on the values that
 * come with it, and answers with the results and with what ran them.
 */

import { Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';
import { readFile } from 'node:fs/promises';
import process from 'node:process';

export interface PlanJob {
  readonly plan: string;
  readonly input: string;
  readonly values: readonly number[];
  readonly dims: readonly number[];
}

export type PlanAnswer =
  | { readonly outputs: readonly (readonly number[])[]; readonly tactics: readonly string[] }
  | { readonly error: string };

async function run({ plan, input, values, dims }: PlanJob): Promise<PlanAnswer> {
  await using engine = await Runtime.load(await readFile(plan));
  await using context = engine.createContext();
  const outputs: number[][] = [];
  // Several runs: the first one launches kernel by kernel, later ones play the device's graph.
  for (let turn = 0; turn < 3; turn++) {
    const results = await context.run({ [input]: new Tensor('float32', Float32Array.from(values), dims) });
    for (const { data } of Object.values(results)) outputs.push(Array.from(data as Float32Array));
  }
  return { outputs, tactics: engine.inspect().layers.map((layer) => layer.tactic) };
}

export function answerOnePlan(): void {
  process.once('message', (job) => {
    run(job as PlanJob)
      .catch((error: unknown): PlanAnswer => ({ error: String(error) }))
      .then((answer) =>
        process.send!(answer, () => {
          process.disconnect();
        }),
      )
      .catch(() => (process.exitCode = 1));
  });
}
