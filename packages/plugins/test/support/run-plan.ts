/** Runs the plan FILE on ROWS rows and prints its output, in a process without plugins. */

import { registeredBackends, Tensor } from '@tensorwright/core';
import { Runtime } from '@tensorwright/runtime';

const [file, rows] = process.argv.slice(2);
const engine = await Runtime.load(file!);
const { dims } = engine.inputs[0]!;
const columns = Number(dims!.at(-1));
const values = Float32Array.from({ length: Number(rows) * columns }, (_, i) => Math.sin(i * 1.7));
const context = engine.createContext();
const { y } = await context.run({ x: new Tensor('float32', values, [Number(rows), columns]) });
await context.close();
await engine.close();
const output = [...(y!.data as Float32Array)];
process.stdout.write(JSON.stringify({ output, plugins: registeredBackends().includes('plugins') }));
