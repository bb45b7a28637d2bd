/** One convolution of cuDNN at more sizes than its plans are kept for, by contexts at once. */

import { Builder } from '@tensorwright/builder';
import { loadBackend, NetworkDefinition, registerBackend, Tensor } from '@tensorwright/core';
import { deviceMemory, Runtime } from '@tensorwright/runtime';

const contextCount = 4;
const image = [16, 6, 6];

async function build(sizes: number): Promise<Uint8Array> {
  const backend = await loadBackend('cuda');
  registerBackend({
    ...backend,
    candidates(node, sources) {
      const all = backend.candidates(node, sources);
      const own = all.filter((c) => c.source === 'cudnn');
      return own.length > 0 ? own : all;
    },
  });
  try {
    const network = new NetworkDefinition('plans');
    const x = network.addInput('x', 'float32', ['n', ...image]);
    const w = network.addConstant(tensor(16 * 16 * 9, [16, 16, 3, 3]));
    network.markOutput(network.addUnary(network.addConvolution(x, w), 'abs'), 'y');
    const shapes = { min: [1, ...image], opt: [Math.min(8, sizes), ...image], max: [sizes, ...image] };
    const plan = await new Builder().build(network.toNetwork(), {
      backends: ['cuda', 'cpu'],
      optimizationLevel: 0,
      profiles: [{ x: shapes }],
    });
    if (!plan.header.program.steps.some((s) => s.kernel === 'cudnn')) throw new Error('the plan lacks cuDNN');
    return await plan.toBytes();
  } finally {
    registerBackend(backend);
  }
}

function tensor(count: number, dims: readonly number[]): Tensor {
  const data = Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  return new Tensor('float32', data, dims);
}

/**
 * Plans are made while others run, recorded, dropped and made again: every result of a size is the same bytes, and what
 * the engine has allocated is given back.
 * @param sizes how many; 32 plans of a step are kept
 * @returns a line for people
 * @throws where it is not so
 */
export async function checkPlans(sizes: number): Promise<string> {
  const plan = await build(sizes);
  const before = deviceMemory()!;
  const engine = await Runtime.load(plan);
  const contexts = Array.from({ length: contextCount }, () => engine.createContext());
  const wanted = new Map<number, Buffer>();
  for (let i = 0; i < 2 * sizes; i++) {
    const n = 1 + (i % sizes);
    const x = tensor(n * image.reduce((p, d) => p * d), [n, ...image]);
    // The last of them is a recording that is played.
    for (let run = 0; run < 3; run++)
      for (const { y } of await Promise.all(contexts.map((c) => c.run({ x })))) {
        const bytes = Buffer.from((y!.data as Float32Array).slice().buffer);
        const first = wanted.get(n) ?? bytes;
        wanted.set(n, first);
        if (Buffer.compare(first, bytes) !== 0) throw new Error(`cuDNN gives other bytes for ${String(n)} images`);
      }
  }
  await engine.close();
  const after = deviceMemory()!;
  if (after.ownBytes !== before.ownBytes)
    throw new Error(`${String(after.ownBytes - before.ownBytes)} bytes of the device are left`);
  const driver = before.freeBytes - after.freeBytes;
  return `plans: ${String(sizes)} sizes twice by ${String(contextCount)} contexts; ${String(driver)} bytes stay with the driver`;
}
