/**
 * node scripts/from-source.mjs packages/harness/src/contractions/collect.ts DIR
 * Writes generated/problems.ts: the dot and conv groups that the builder makes of DIR's models in float16, each once.
 * No kernel is made: the models are built for the reference backend, which is asked about every group.
 */

import { Builder } from '@tensorwright/builder';
import {
  type GroupView,
  loadBackend,
  type Node,
  registerBackend,
  type TensorType,
  topologicalOrder,
  viewGroup,
} from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process, { argv, stderr } from 'node:process';
import { usualDims, usualExtents } from '../zoo/inputs.js';
import type { Activation, Problem } from './problem.js';

/** Batches and, where it is not the usual one, the length of sequences. */
const models: readonly (readonly [name: string, batches: readonly number[], sequence?: number])[] = [
  ['resnet50', [1, 8, 32, 128]],
  ['vit_b_16', [1, 8, 32]],
  ['bert_base', [1, 8, 32]],
  ['bert_base', [1, 8], 384],
  ['gpt2', [1]],
  ['mobilenet_v2', [1, 32]],
  ['efficientnet_b0', [1, 32]],
  ['convnext_tiny', [1, 32]],
];

/** The operator that an epilogue's cost is that of. */
const activations: readonly (readonly [Activation, readonly string[]])[] = [
  ['gelu', ['gelu', 'erf']],
  ['silu', ['sigmoid', 'silu', 'swish']],
  ['clip', ['clip', 'min']],
  ['relu', ['relu', 'max']],
];

function problemOf(group: GroupView): Problem | undefined {
  const { anchor, node } = group;
  if (!anchor || (anchor.op !== 'dot' && anchor.op !== 'conv')) return undefined;
  const [left, right] = anchor.inputs.map((v) => v!.type as TensorType);
  const out = (anchor.outputs[0]!.type as TensorType).dims!;
  const known = [left!.dims!, right!.dims!, out].every((dims) => dims.every((d) => typeof d === 'number'));
  if (!known || left!.dtype !== 'float16') return undefined;
  // Channels on their own are another kernel's.
  if ((anchor.attributes['group'] ?? 1) !== 1) return undefined;
  const isConstant = (i: number): boolean => node.inputs[group.anchorInputs[i] ?? -1]?.node.op === 'constant';
  const others = node.inputs.filter((v, i) => v && !group.anchorInputs.includes(i)).map((v) => v!.type as TensorType);
  const isWhole = ({ dims }: TensorType): boolean => dims!.join() === out.join();
  const ops = new Set(node.op === 'group' ? topologicalOrder(node.regions[0]!).map((n) => n.op) : []);
  const { tf32: _, ...attributes } = anchor.attributes;
  return {
    op: anchor.op,
    x: left!.dims as number[],
    w: right!.dims as number[],
    attributes,
    constant: isConstant(1),
    bias: anchor.inputs[2] !== undefined || others.some((t) => !isWhole(t)),
    residual: others.some(isWhole),
    activation: activations.find(([, names]) => names.some((n) => ops.has(n)))?.[0] ?? 'none',
  };
}

async function main(): Promise<void> {
  const folder = argv[2];
  if (folder === undefined) throw new Error('the folder of the models is missing');
  const found = new Map<string, { problem: Problem; of: Set<string> }>();
  const reference = await loadBackend('reference');
  for (const [name, batches, sequence = usualExtents['sequence']!] of models)
    for (const batch of batches) {
      const of = `${name} ${String(batch)}${name.startsWith('bert') ? `x${String(sequence)}` : ''}`;
      // By the name 'reference' it would see groups taken apart.
      registerBackend({
        ...reference,
        name: 'collector',
        candidates: (node: Node) => {
          const problem = problemOf(viewGroup(node));
          const key = JSON.stringify(problem);
          if (problem && !found.has(key)) found.set(key, { problem, of: new Set() });
          if (problem) found.get(key)!.of.add(of);
          return reference.candidates(node);
        },
      });
      const network = await OnnxParser.parseFile(join(folder, `${name}.onnx`));
      const extents = { ...usualExtents, batch, sequence };
      const profile = Object.fromEntries(
        network.inputs.map((i) => [i.name, usualDims((i.value.type as TensorType).dims ?? [], extents)]),
      );
      const options = { backends: ['collector'], profiles: [profile], precision: { fp16: true } };
      await new Builder().build(network, { ...options, optimizationLevel: 0 });
      stderr.write(`${of}: ${String(found.size)} problems by now\n`);
    }
  const rows = [...found.values()].map(({ problem, of }) => `  ${JSON.stringify({ ...problem, of: [...of] })},`);
  const text = [
    '/** Made by ../collect.ts: the contractions of well-known networks in float16, and which of them have each. */',
    '',
    "import type { NamedProblem } from '../problem.js';",
    '',
    'export const problems: readonly NamedProblem[] = [',
    ...rows,
    '];',
  ];
  await writeFile(
    join(process.cwd(), 'packages/harness/src/contractions/generated/problems.ts'),
    `${text.join('\n')}\n`,
  );
}

main().catch((error: unknown) => {
  stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
