/** Groups that run as one step: where a backend takes them, and only where that is faster. */

import {
  type Backend,
  type Candidate,
  evaluateGraph,
  finish,
  type Graph,
  GraphBuilder,
  type Node,
  tensorFromNumbers,
  tensorType,
  topologicalOrder,
  type Value,
  viewGroup,
} from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { chooseChains } from '../src/choose/chains.js';
import { TacticTimer } from '../src/choose/measure.js';
import type { PassContext } from '../src/pass.js';
import { fuseGroups } from '../src/passes/group/fuse-groups.js';

const isChain = (node: Node): boolean => viewGroup(node).parts.length > 0;

interface Behaviour {
  readonly refusesChains?: boolean;
  readonly chain?: number;
  readonly group?: number;
  /** What a chain's step costs among others. */
  readonly handover?: number;
  /** Groups of a chain that is taken, at most. */
  readonly longest?: number;
}

/** A backend whose estimates are given. */
function backendOf(
  { refusesChains, chain = 1, group = 1, handover = 0, longest = Infinity }: Behaviour,
  name = 'some',
): Backend {
  const candidate = (node: Node): Candidate => ({
    tactic: 'any',
    parameters: {},
    inputs: [],
    outputs: [],
    stridedOutput: false,
    estimate: isChain(node) ? chain : group,
    handover: isChain(node) ? handover : 0,
    producer: name,
  });
  return {
    name,
    version: '1',
    device: () => undefined,
    refuses: (node) =>
      (refusesChains === true && isChain(node)) || viewGroup(node).parts.length > longest ? 'no chains' : undefined,
    candidates: (node) => [candidate(node)],
    emit: () => Promise.reject(new Error('nothing is emitted')),
  };
}

/** A block of a squeeze-excite network: [2, 8, 3, 3] → [2, 4, 3, 3]. */
function block(b: GraphBuilder): Graph {
  const x = b.input('x', tensorType('float32', [2, 8, 3, 3]));
  const weights = (dims: readonly [number, number, number, number]): Value =>
    b.constant(
      tensorFromNumbers(
        'float32',
        Float64Array.from({ length: dims[0] * dims[1] }, (_, i) => ((i * 37) % 19) / 10 - 0.9),
        dims,
      ),
    );
  const sum = b.op('reduce', [x], { monoid: 'sum', axes: [2, 3], keepdims: true });
  const mean = b.op('div', [sum, b.scalar(9, 'float32')]);
  const down = b.op('relu', [b.op('conv', [mean, weights([3, 8, 1, 1])], { group: 1 })]);
  const up = b.op('sigmoid', [b.op('conv', [down, weights([8, 3, 1, 1])], { group: 1 })]);
  const scaled = b.op('mul', [x, up]);
  return { inputs: [x], outputs: [b.op('conv', [scaled, weights([4, 8, 1, 1])], { group: 1 })] };
}

/** A block of a mobile network: [2, 8, 3, 3] → [2, 8, 3, 3]. */
function mobileBlock(b: GraphBuilder): Graph {
  const x = b.input('x', tensorType('float32', [2, 8, 3, 3]));
  const layer = (v: Value, dims: readonly [number, number, number, number], group: number): Value => {
    const pads = dims.slice(2).map((k) => (k - 1) / 2);
    const numbers = Float64Array.from(
      { length: dims.reduce((p, d) => p * d, 1) },
      (_, i) => ((i * 37) % 19) / 10 - 0.9,
    );
    return b.op('conv', [v, b.constant(tensorFromNumbers('float32', numbers, dims))], {
      group,
      pads: [...pads, ...pads],
    });
  };
  const wide = b.op('relu', [layer(x, [16, 8, 1, 1], 1)]);
  const filtered = b.op('relu', [layer(wide, [16, 1, 3, 3], 16)]);
  return { inputs: [x], outputs: [b.op('add', [layer(filtered, [8, 16, 1, 1], 1), x])] };
}

async function choose(...backends: Backend[]): Promise<readonly Node[]> {
  return topologicalOrder(await graphOf(...backends)).filter((n) => n.op === 'group');
}

async function graphOf(...backends: Backend[]): Promise<Graph> {
  return graphOfBlock(block, ...backends);
}

async function graphOfBlock(block: (b: GraphBuilder) => Graph, ...backends: Backend[]): Promise<Graph> {
  const builder = new GraphBuilder();
  const context: PassContext = {
    builder,
    options: { optimizationLevel: 0 },
    backends,
    optimum: new Map(),
    log: () => undefined,
    breathe: () => Promise.resolve(),
  };
  const fused = fuseGroups.run(block(builder), context);
  const grouped = 'next' in fused ? finish(fused) : fused;
  return chooseChains(grouped, context, new TacticTimer(context));
}

const kindsOf = (nodes: readonly Node[]): string[] => nodes.map((n) => n.attributes['kind'] as string);
const apart = ['reduce', 'contraction', 'contraction', 'map', 'contraction'];

describe('chains of groups', () => {
  it('are taken where they are faster', async () => {
    const nodes = await choose(backendOf({}));
    expect(kindsOf(nodes)).toEqual(['excitation', 'contraction']);
    expect(nodes.map((n) => viewGroup(n).parts.length)).toEqual([3, 2]);
  });

  it('are left apart where they are slower', async () =>
    expect(kindsOf(await choose(backendOf({ chain: 4 })))).toEqual(apart));

  it.each([
    ['by less than the noise', { chain: 2.95 }],
    ['but for what they cost their neighbours', { handover: 2 }],
  ])('are left apart where they are faster %s', async (_, behaviour) =>
    expect(kindsOf(await choose(backendOf(behaviour)))).toEqual(apart),
  );

  it('are left apart where nobody takes them', async () =>
    expect(kindsOf(await choose(backendOf({ refusesChains: true })))).toEqual(apart));

  it('stay with the backend that their groups would have', async () =>
    expect(kindsOf(await choose(backendOf({ refusesChains: true }), backendOf({}, 'other')))).toEqual(apart));

  it('are nothing to the reference backend', async () =>
    expect(kindsOf(await choose(backendOf({}, 'reference')))).toEqual(apart));

  it('compute what their groups compute', async () => {
    const values = Float64Array.from({ length: 2 * 8 * 9 }, (_, i) => ((i * 7919) % 100) / 50 - 1);
    const x = tensorFromNumbers('float32', values, [2, 8, 3, 3]);
    const [fused, plain] = await Promise.all([graphOf(backendOf({})), graphOf()]);
    expect(evaluateGraph(fused, [x])).toEqual(evaluateGraph(plain, [x]));
  });

  it('are blocks of mobile networks, whole or without their expansion', async () => {
    const kinds = async (...backends: Backend[]): Promise<string[]> =>
      kindsOf(topologicalOrder(await graphOfBlock(mobileBlock, ...backends)).filter((n) => n.op === 'group'));
    expect(await kinds(backendOf({}))).toEqual(['invertedResidual']);
    expect(await kinds(backendOf({ longest: 2 }))).toEqual(['contraction', 'invertedResidual']);
    expect(await kinds(backendOf({ chain: 4 }))).toEqual(['contraction', 'contraction', 'contraction']);
  });

  it('are seen by their one anchor, what is before it, and their parts', async () => {
    const [excitation, product] = (await choose(backendOf({}))) as [Node, Node];
    const view = viewGroup(product);
    expect(view.anchor?.op).toBe('conv');
    expect(view.anchorInputs[0]).toBe(-1);
    expect(view.prologue(0)).toMatchObject({ op: 'mul', args: [{ op: 'arg' }, { op: 'arg' }] });
    const chain = viewGroup(excitation);
    expect(chain.anchor).toBeUndefined();
    expect(chain.parts.map((p) => p.anchor?.op)).toEqual(['reduce', 'conv', 'conv']);
    expect(chain.parts.map((p) => p.anchorInputs[0])).toEqual([0, -1, -1]);
  });
});
