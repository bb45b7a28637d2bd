/** The stock plugins' kernels on operands that begin in the middle of another tensor. */

import { cudaBackend } from '@tensorwright/backend-cuda';
import type { NetworkDefinition, NetworkTensor } from '@tensorwright/core';
import type { Engine } from '@tensorwright/runtime';
import { describe, expect, it, vi } from 'vitest';
import type { LayerPlugin, Operand, PluginCase, Problem } from '../src/plugins/case.js';
import { cases } from '../src/plugins/cases/index.js';
import { check, tolerances } from '../src/plugins/check.js';
import { Random } from '../src/plugins/random.js';

vi.setConfig({ testTimeout: 120_000 });

type Layers = Readonly<Record<string, NetworkTensor>>;

/** With one element more in front, of rank 1. */
function flattened(o: Operand): Operand {
  if (o.isConstant) return o;
  return { dtype: o.dtype, dims: [o.values.length + 1], values: Float64Array.of(0, ...o.values) };
}

/** The case with inputs that the network cuts out of flattened ones. */
function shifted(subject: PluginCase, problem: Problem): { subject: PluginCase; problem: Problem } {
  const plugin: LayerPlugin = Object.assign(Object.create(subject.plugin) as LayerPlugin, {
    addTo: (network: NetworkDefinition, inputs: Layers, ...fields: never[]): Layers => {
      const cut = Object.entries(problem.inputs).map(([name, o]): [string, NetworkTensor] => {
        const x = inputs[name]!;
        if (o.isConstant) return [name, x];
        const part = network.addSlice(x, { start: [1], size: [o.values.length] });
        return [name, network.addShuffle(part, { reshape: o.dims, zeroIsPlaceholder: false })];
      });
      return subject.plugin.addTo(network, Object.fromEntries(cut) as never, ...fields);
    },
  });
  const flat = Object.entries(problem.inputs).map(([name, o]): [string, Operand] => [name, flattened(o)]);
  const unflattened = ({ inputs, ...rest }: Problem): Problem => ({
    ...rest,
    inputs: Object.fromEntries(
      Object.entries(problem.inputs).map(([name, o]): [string, Operand] => [
        name,
        o.isConstant ? o : { ...o, values: inputs[name]!.values.slice(1) },
      ]),
    ),
  });
  return {
    subject: { ...subject, plugin, reference: (p) => subject.reference(unflattened(p)) },
    problem: { ...problem, inputs: Object.fromEntries(flat) },
  };
}

/** Problems besides the first two of each case: kernels of their own, and wide loads. */
const others: Readonly<Record<string, readonly string[]>> = {
  'multiscale-deformable-attention': ['16 channels, gaps'],
  'disentangled-attention': ['linear distances'],
  'efficient-nms': ['all logits', 'more candidates than fit'],
  'topk-last-dim': ['long rows'],
  'roi-align': ['many bins'],
  'crop-and-resize': ['many results'],
};

/** Besides what carries inputs over, and copies of what is changed in place: of a part of an input, these are needed. */
const stepsOf = (engine: Engine): number =>
  engine.inspect().layers.filter((l) => l.tactic !== 'transfer' && l.kind !== 'alias').length;

describe.skipIf(cudaBackend.device() === undefined)('kernels of plugins take unaligned operands', () => {
  it.each(cases)('$name', async (subject) => {
    const problems = subject
      .problems(new Random(1))
      .filter((p) => !p.timed && Object.values(p.inputs).every((o) => !o.dims.includes(0)))
      .filter((p, i) => i < 2 || others[subject.name]?.includes(p.name));
    for (const problem of problems) {
      const moved = shifted(subject, problem);
      const float = subject.floats?.includes('float16') === false ? 'float32' : 'float16';
      const options = { backends: ['cuda', 'cpu'] };
      const plain = await check(subject, problem, float, options);
      const steps = stepsOf(plain.engine);
      await plain.engine.close();
      const { engine, errors } = await check(moved.subject, moved.problem, float, options);
      // A step more would be a copy of an operand to a place of its own, which is aligned.
      expect(stepsOf(engine), problem.name).toBe(steps);
      await engine.close();
      for (const [output, error] of Object.entries(errors))
        expect(error, `${problem.name}: ${output}`).toBeLessThan(tolerances[float]);
    }
  });
});
