/**
 * What a step of a plugin costs inside a CUDA graph over the same computation built in. A chain of pairs: a step that is
 * the same in all chains and that nothing merges with, then the step in question.
 */

import { Builder } from '@tensorwright/builder';
import { ceilDivDims, NetworkDefinition, type NetworkTensor, Tensor } from '@tensorwright/core';
import { definePlugin, type Plugin } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { median } from '../median.js';

export interface ChainTime {
  readonly step: string;
  readonly elements: number;
  readonly pairs: number;
  /** Of the middle run: the device's time for the whole chain, played as one graph. */
  readonly deviceMicroseconds: number;
  /** Of the host, to start that graph. */
  readonly enqueueMicroseconds: number;
  /** Against the built-in step, for one step; 0 for itself. */
  readonly overheadMicroseconds: number;
}

type Unary = (network: NetworkDefinition, x: NetworkTensor) => NetworkTensor;

/** Four elements a thread: what our own kernel for maps does too. */
function unary(name: string, expression: string): Plugin<readonly ['x'], readonly ['y']> {
  return definePlugin({
    name,
    namespace: 'harness',
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cuda: {
      source: `
__global__ void ${name}(const float* x, float* y, int size) {
  const int i = 4 * (blockIdx.x * 256 + threadIdx.x);
  if (i >= size) return;
  auto four = load_vec<4>(x + i);
  for (int k = 0; k < 4; ++k) {
    const float v = four.v[k];
    four.v[k] = ${expression};
  }
  store_vec(y + i, four);
}`,
      launches: ({ inputs: { x }, outputs: { y } }) => [
        { kernel: name, grid: ceilDivDims(x.size, 1024), block: 256, arguments: [x, y, x.size] },
      ],
    },
  });
}

const between = unary('between', 'v - 0.0009765625f');
const relu = unary('relu', 'fmaxf(v, 0.0f)');

const through =
  (plugin: Plugin): Unary =>
  (network, x) =>
    plugin.addTo(network, { x })['y']!;

async function time(step: Unary, elements: number, pairs: number, plays: number): Promise<readonly [number, number]> {
  const network = new NetworkDefinition('chain');
  let value = network.addInput('x', 'float32', [elements]);
  for (let i = 0; i < pairs; i++) value = step(network, through(between)(network, value));
  network.markOutput(value, 'y');
  const plan = await new Builder().build(network.toNetwork(), { backends: ['cuda', 'cpu'], optimizationLevel: 0 });
  await using engine = await Runtime.load(await plan.toBytes());
  const steps = engine.inspect().layers.filter((layer) => !layer.tactic.includes('transfer')).length;
  if (steps !== 2 * pairs) throw new Error(`the chain of ${String(pairs)} pairs has ${String(steps)} steps`);
  await using context = engine.createContext();
  const x = Float32Array.from({ length: elements }, (_, i) => Math.sin(i));
  const result = await context.run({ x: new Tensor('float32', x, [elements]) });
  check(result['y']!.data as Float32Array, x, pairs);
  const times = await context.deviceTimes(plays);
  if (!times?.complete) throw new Error('the chain does not run on the device as a whole');
  return [median(times.device), median(times.enqueue)];
}

function check(y: Float32Array, x: Float32Array, pairs: number): void {
  x.forEach((v, i) => {
    let right = v;
    for (let k = 0; k < pairs; k++) right = Math.max(Math.fround(right - 0.0009765625), 0);
    if (y[i] !== right) throw new Error(`element ${String(i)} is ${String(y[i])}, expected ${String(right)}`);
  });
}

export interface Chains {
  readonly pairs: number;
  readonly plays: number;
  /** Elements of a step, multiples of 4. */
  readonly sizes: readonly number[];
}

export async function measureOverhead(library: Plugin, { pairs, plays, sizes }: Chains): Promise<readonly ChainTime[]> {
  const steps: readonly (readonly [string, Unary])[] = [
    ['built in', (network, x) => network.addActivation(x, 'relu')],
    ['definePlugin', through(relu)],
    ['library', through(library)],
  ];
  const found: ChainTime[] = [];
  for (const elements of sizes) {
    let own = 0;
    for (const [step, add] of steps) {
      const [device, enqueue] = await time(add, elements, pairs, plays);
      if (step === 'built in') own = device;
      found.push({
        step,
        elements,
        pairs,
        deviceMicroseconds: device,
        enqueueMicroseconds: enqueue,
        overheadMicroseconds: (device - own) / pairs,
      });
    }
  }
  return found;
}
