/** Calls of plugins of libraries, which the reference cannot evaluate: each runs on the processor as a network of its own. */

import {
  type Graph,
  GraphBuilder,
  loadBackend,
  type Network,
  type Node,
  operatorOf,
  type RuntimeValue,
  Tensor,
  TensorwrightError,
  tensorType,
  topologicalOrder,
} from '@tensorwright/core';
import { CommandError, exitCodes } from '../exit-codes.js';
import { registerOwnBackends } from '../models/build-plan.js';

/** Whether the reference knows nothing of the operator but its types. */
export function isLibraryCall({ op }: Node): boolean {
  const { custom, evaluate } = operatorOf(op);
  return custom === true && !evaluate;
}

/**
 * Nobody knows a plugin of a library but itself: the reference has its function for the processor compute the call, and
 * bodies by itself.
 * @throws CommandError where nothing can compute one
 */
export async function checkComparable({ graph }: Network): Promise<void> {
  for (const { node, inBody } of libraryCalls(graph)) {
    const reason = inBody
      ? 'it is called in the body of a conditional or a loop, which the reference computes by itself'
      : await refuseLibraryCall(node);
    if (reason !== undefined)
      throw new CommandError(
        exitCodes.unavailable,
        `nothing else can compute plugin '${node.op}', so there is nothing to compare with: ${reason}`,
      );
  }
}

function* libraryCalls(graph: Graph, inBody = false): Generator<{ readonly node: Node; readonly inBody: boolean }> {
  for (const node of topologicalOrder(graph)) {
    if (isLibraryCall(node)) yield { node, inBody };
    for (const region of node.regions) yield* libraryCalls(region, true);
  }
}

/** Why the processor does not run the call; undefined when it does. */
async function refuseLibraryCall(node: Node): Promise<string | undefined> {
  await registerOwnBackends();
  const cpu = await loadBackend('cpu');
  return cpu.device() ? cpu.refuses(node) : (cpu.unavailable?.() ?? 'the processor backend does not run here');
}

/** @throws ERR_UNSUPPORTED where the library has no function for the processor, or not for these operands */
export async function runLibraryCall(
  { op, inputs, attributes, outputs }: Node,
  values: readonly (RuntimeValue | undefined)[],
  signal: AbortSignal,
): Promise<RuntimeValue[]> {
  const builder = new GraphBuilder();
  const given = inputs.map((v, i) => {
    if (!v) return undefined;
    const tensor = values[i];
    if (!(tensor instanceof Tensor)) throw new TensorwrightError('ERR_UNSUPPORTED', `${op}: input ${i} is no tensor`);
    const name = `x${i}`;
    return { name, tensor, value: builder.input(name, tensorType(tensor.dtype, tensor.dims)) };
  });
  const made = builder.node(
    op,
    given.map((g) => g?.value),
    attributes,
  );
  const present = given.filter((g) => g !== undefined);
  const network: Network = {
    name: op,
    graph: { inputs: present.map((g) => g.value), outputs: made },
    builder,
    inputs: present.map(({ name, value }) => ({ name, value })),
    outputs: made.map((value, i) => ({ name: `y${i}`, value })),
    metadata: {},
    opsets: {},
  };
  const [{ Builder }, { Runtime }] = await Promise.all([
    import('@tensorwright/builder'),
    import('@tensorwright/runtime'),
  ]);
  const plan = await new Builder().build(network, { backends: ['cpu'], optimizationLevel: 0, signal });
  await using engine = await Runtime.load(plan);
  await using context = engine.createContext();
  const results = await context.run<RuntimeValue>(
    Object.fromEntries(present.map(({ name, tensor }) => [name, tensor])),
    { signal },
  );
  return outputs.map((_, i) => results[`y${i}`]!);
}
