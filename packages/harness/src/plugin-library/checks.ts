/** A library's plugin next to its formula: on both backends, closed and loaded again, two versions side by side. */

import { Builder } from '@tensorwright/builder';
import { NetworkDefinition, Tensor, TensorwrightError } from '@tensorwright/core';
import { type Plugin, PluginLibrary } from '@tensorwright/plugins';
import { Runtime } from '@tensorwright/runtime';
import { existsSync, readFileSync } from 'node:fs';

/** Rows and outputs of a row: small, odd, and more than one block. */
const shapes = [
  [1, 1],
  [3, 37],
  [257, 129],
] as const;

function swiglu(x: Float32Array, columns: number, limit: number): Float64Array {
  return Float64Array.from({ length: x.length / 2 }, (_, i) => {
    const at = Math.floor(i / columns) * 2 * columns + (i % columns);
    const gate = Math.min(x[at]!, limit);
    return (gate / (1 + Math.exp(-gate))) * x[at + columns]!;
  });
}

async function build(plugins: readonly Plugin[], backend: string, columns: number): Promise<Uint8Array> {
  const network = new NetworkDefinition('swiglu');
  const x = network.addInput('x', 'float32', ['rows', 2 * columns]);
  plugins.forEach((plugin, i) => {
    const { y } = plugin.addTo(network, { x }, { limit: i + 1 });
    network.markOutput(network.addElementWise(y!, y!, 'sum'), `y${String(i)}`);
  });
  const backends = backend === 'cpu' ? ['cpu'] : [backend, 'cpu'];
  return (await new Builder().build(network.toNetwork(), { backends })).toBytes();
}

/** The largest difference from the formula over its largest value, over several runs, which a device plays from a graph. */
async function error(
  plan: Uint8Array,
  count: number,
  backend: string,
  [rows, columns]: readonly [number, number],
): Promise<number> {
  await using engine = await Runtime.load(plan);
  const own = engine.inspect().layers.filter((layer) => layer.tactic === `${backend}.library`).length;
  if (own !== count) throw new Error(`${String(own)} of ${String(count)} steps run on ${backend}`);
  await using context = engine.createContext();
  let worst = 0;
  for (let turn = 0; turn < 4; turn++) {
    const data = Float32Array.from({ length: rows * columns * 2 }, (_, i) => 4 * Math.sin(1.3 * i + turn + 0.5));
    const result = await context.run({ x: new Tensor('float32', data, [rows, 2 * columns]) });
    for (let i = 0; i < count; i++) {
      const right = swiglu(data, columns, i + 1);
      const largest = right.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      const y = result[`y${String(i)}`]!.data as Float32Array;
      right.forEach((v, k) => (worst = Math.max(worst, Math.abs(y[k]! - 2 * v) / (2 * largest))));
    }
  }
  return worst;
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

const isMapped = (path: string): boolean =>
  existsSync('/proc/self/maps') && readFileSync('/proc/self/maps', 'utf8').includes(path);

export async function checkLibraries(
  first: string,
  second: string,
  backends: readonly string[],
): Promise<readonly Check[]> {
  const checks: Check[] = [];
  const tell = (name: string, ok: boolean, detail: string): void => void checks.push({ name, ok, detail });
  const measure = async (name: string, libraries: readonly PluginLibrary[]): Promise<void> => {
    const plugins = libraries.map((l) => l.plugins[0]!);
    for (const backend of backends) {
      for (const shape of shapes) {
        const worst = await error(await build(plugins, backend, shape[1]), plugins.length, backend, shape);
        tell(`${name}: ${backend} ${shape.join(' x ')}`, worst < 1e-5, `error ${worst.toExponential(1)}`);
      }
    }
  };

  const library = PluginLibrary.load(first);
  await measure('formula', [library]);
  const plan = await build(library.plugins, backends[0]!, 8);
  library.close();
  tell('closed: its code is gone', !isMapped(first), first);
  const refusal: unknown = await Runtime.load(plan).catch((e: unknown) => e);
  const isRefused = TensorwrightError.is(refusal) && refusal.code === 'ERR_PLUGIN';
  tell('closed: its plans are refused', isRefused, String(refusal));
  using again = PluginLibrary.load(first);
  const worst = await error(plan, 1, backends[0]!, [3, 8]);
  tell('loaded again: its plans run', worst < 1e-5, `error ${worst.toExponential(1)}`);
  using other = PluginLibrary.load(second);
  await measure(`${again.plugins[0]!.title} and ${other.plugins[0]!.title}`, [again, other]);
  return checks;
}
