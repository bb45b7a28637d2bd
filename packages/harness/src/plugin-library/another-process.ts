/** An ONNX model with a plugin's node, built here, and run from its plan by a process that never sees the plugin. */

import { Builder } from '@tensorwright/builder';
import { ceilDivDims } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { arg, definePlugin, field, PluginRegistry } from '@tensorwright/plugins';
import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Check } from './checks.js';
import type { PlanAnswer, PlanJob } from './run-plan.js';

/** What the nodes of samples/plugin-onnx/snake.onnx call: x + sin²(a·x) / a (Ziyin et al., 2020). */
const snake = definePlugin({
  name: 'Snake',
  namespace: 'acme',
  fields: { a: field.float(1) },
  inputs: ['x'],
  outputs: ['y'],
  infer: ({ inputs: { x } }) => ({ y: x }),
  cuda: {
    dtypes: ['float32', 'float16', 'bfloat16'],
    source: `
template <typename T>
__global__ void snake(const T* x, T* y, int size, float a) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float v = x[i], s = sinf(a * v);
  y[i] = convert<T>(v + s * s / a);
}`,
    launches: ({ inputs: { x }, outputs: { y }, fields }) => [
      { kernel: 'snake', grid: ceilDivDims(x.size, 256), block: 256, arguments: [x, y, x.size, arg.float(fields.a)] },
    ],
  },
});

/** Relu(Snake(x · W)) with a = 2, where W[i][j] = (i - j) / 4: what the model says. */
function formula(x: readonly number[]): number[] {
  return Array.from({ length: (x.length / 4) * 3 }, (_, at) => {
    const row = Math.floor(at / 3) * 4;
    const product = [0, 1, 2, 3].reduce((sum, i) => sum + (x[row + i]! * (i - (at % 3))) / 4, 0);
    return Math.max(0, product + Math.sin(2 * product) ** 2 / 2);
  });
}

/** And how far from the formula, as a share of its largest value. */
const precisions = [
  { precision: 'fp32', limit: 1e-5 },
  { precision: 'fp16', limit: 5e-3 },
  { precision: 'bf16', limit: 3e-2 },
] as const;

/** Of main.ts, which both processes start. */
export const answerFlag = '--answer-one-plan';

/** With neither a kernel compiler nor a library: the driver is all that a plan of our own kernels needs. */
const driverAlone = { TENSORWRIGHT_NVRTC: '/none', TENSORWRIGHT_CUBLASLT: '/none', TENSORWRIGHT_CUDNN: '/none' };

function ask(job: PlanJob): Promise<PlanAnswer> {
  const child = fork(fileURLToPath(import.meta.url), [answerFlag], { env: { ...env, ...driverAlone } });
  return new Promise((resolve) => {
    child.once('message', (answer) => {
      resolve(answer as PlanAnswer);
    });
    child.once('exit', (code, signal) => {
      resolve({ error: `the process ended: ${signal ?? `exit code ${String(code)}`}` });
    });
    child.send(job);
  });
}

export async function checkAnotherProcess(model: string, backend: string): Promise<readonly Check[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorwright-plan-'));
  try {
    const checks: Check[] = [];
    for (const { precision, limit } of precisions) {
      const network = await OnnxParser.parseFile(model, { plugins: new PluginRegistry().register(snake) });
      const plan = await new Builder().build(network, {
        backends: [...new Set([backend, 'cpu'])],
        tacticSources: [],
        precision: precision === 'fp32' ? {} : { [precision]: true },
      });
      const file = join(folder, `snake-${precision}.plan`);
      await writeFile(file, await plan.toBytes());
      const values = Array.from({ length: 4 * 33 }, (_, i) => Math.fround(2 * Math.sin(1.7 * i)));
      const answer = await ask({ plan: file, input: 'x', values, dims: [33, 4] });
      const name = `ONNX model, ${precision}: plan of ${backend} in a process without the plugin`;
      if ('error' in answer) {
        checks.push({ name, ok: false, detail: answer.error });
        continue;
      }
      const right = formula(values);
      const largest = Math.max(...right);
      const errors = answer.outputs.flatMap((y) => right.map((v, i) => Math.abs(v - (y[i] ?? NaN)) / largest));
      const worst = Math.max(...errors);
      const isOn = answer.tactics.some((tactic) => tactic.startsWith(`${backend}.`) && tactic.includes('Snake'));
      checks.push({
        name,
        ok: worst <= limit && isOn,
        detail: `error ${worst.toExponential(1)} by ${answer.tactics.join(' ')}`,
      });
    }
    return checks;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
