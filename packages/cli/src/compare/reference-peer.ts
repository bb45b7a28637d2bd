/** The operators' own evaluation of the imported network: no pass of the builder has touched it. */

import { setImmediate } from 'node:timers/promises';
import {
  bind,
  type DimSymbol,
  evaluateNode,
  type Network,
  type RuntimeValue,
  topologicalOrder,
  usersOf,
  type Value,
} from '@tensorwright/core';
import type { Reporter } from '../output/reporter.js';
import { isLibraryCall, runLibraryCall } from './library-calls.js';
import type { Peer } from './peer.js';

export function referencePeer(network: Network, reporter: Reporter, signal: AbortSignal): Peer {
  const libraries = topologicalOrder(network.graph).some(isLibraryCall);
  return {
    name: `the reference evaluation${libraries ? ', and plugins of libraries on the processor' : ''}`,
    run: (inputs) =>
      reporter.progress('reference', async (update) => {
        const values = new Map<Value, RuntimeValue | undefined>();
        const symbols = new Map<DimSymbol, number>();
        const define = (value: Value, result: RuntimeValue | undefined): void => {
          values.set(value, result);
          bind(value, result, symbols);
        };
        for (const { name, value } of network.inputs) define(value, inputs[name]);
        const order = topologicalOrder(network.graph);
        const release = releaser(order, network, values);
        for (const [done, node] of order.entries()) {
          if (node.op === 'input') continue;
          update({ phase: 'evaluating', done, total: order.length });
          // Between nodes, interrupts are heard.
          await setImmediate();
          signal.throwIfAborted();
          const operands = node.inputs.map((v) => v && values.get(v));
          const results = isLibraryCall(node)
            ? await runLibraryCall(node, operands, signal)
            : evaluateNode(node, operands, { symbols, signal });
          node.outputs.forEach((value, i) => define(value, results[i]));
          release(done);
        }
        return Object.fromEntries(network.outputs.map(({ name, value }) => [name, values.get(value)!]));
      }),
    close: () => Promise.resolve(),
  };
}

/** Drops values after their last use. */
function releaser(
  order: ReturnType<typeof topologicalOrder>,
  network: Network,
  values: Map<Value, unknown>,
): (done: number) => void {
  const positions = new Map(order.map((node, i) => [node, i]));
  const kept = new Set(network.outputs.map((o) => o.value));
  const lastUses = new Map<number, Value[]>();
  for (const [value, users] of usersOf(order)) {
    if (kept.has(value)) continue;
    const last = Math.max(...users.map((node) => positions.get(node)!));
    const list = lastUses.get(last);
    if (list) list.push(value);
    else lastUses.set(last, [value]);
  }
  return (done) => {
    for (const value of lastUses.get(done) ?? []) values.delete(value);
  };
}
