/** Linear attention: a recurrence that keeps its state on the multiprocessor. */

import {
  ceilDivDims,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  type TensorType,
} from '@tensorwright/core';
import { Arguments } from '../launch/arguments.js';
import { launchStep } from '../launch/launch-step.js';
import { cxxType } from '../print/types.js';
import { index } from '../print/views.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { bytesOf, dtypeOf, memoryMicroseconds, refuseOperands } from './operands.js';

const columns = 64;
const mostShared = 99 * 1024;

interface Sizes {
  readonly group: number;
  readonly keySize: number;
  readonly valueSize: number;
}

export const linearAttention: Tactic = {
  name: 'linearAttention',
  refuses(group: GroupView): string | undefined {
    const { anchor } = group;
    if (anchor?.op !== 'linearAttention') return 'no linear attention';
    if (!group.expressions().every((e) => e.op === 'arg')) return 'only the operator itself';
    const reason = refuseOperands(group);
    if (reason !== undefined) return reason;
    if ([...anchor.inputs, ...anchor.outputs].some((v) => dtypeOf(v) === 'float64'))
      return 'linear attention computes in float32';
    const sizes = sizesOf(group);
    if (!sizes) return 'head sizes are only known at run time';
    return sharedBytes(sizes) > mostShared ? 'the state of a head does not fit a multiprocessor' : undefined;
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    return [
      {
        parameters: {},
        inputs: group.node.inputs.map(() => 'strided'),
        outputs: group.outputs.map(() => 'rows'),
        stridedOutput: false,
        estimate: memoryMicroseconds(bytesOf(group)),
      },
    ];
  },
  emit(group: GroupView, _candidate, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const { attributes, inputs } = group.anchor!;
    const sizes = sizesOf(group)!;
    const { keySize, valueSize } = sizes;
    const heads = attributes['kvNumHeads'] as number;
    const given = attributes['scale'] as number;
    const view = (i: number): MemoryView => context.view(group.anchorInputs[i]!)!;
    const [batch, steps] = view(0).dims;
    const element = (i: number, coordinates: readonly string[]): string =>
      `convert<f32>(${args.input(group.anchorInputs[i]!, cxxType(dtypeOf(inputs[i])!))}[${index(view(i), coordinates, args)}])`;
    const read = (name: string, i: number, parameters: string, coordinates: readonly string[]): string[] =>
      inputs[i] ? [`TW_DEVICE f32 ${name}(${parameters}) const { return ${element(i, coordinates)}; }`] : [];
    const write = (name: string, i: number, parameters: string, coordinates: readonly string[]): string => {
      const type = cxxType(dtypeOf(group.outputs[i])!);
      const at = `${args.output(i, type)}[${index(context.outputView(i)!, coordinates, args)}]`;
      return `TW_DEVICE void ${name}(${parameters}, f32 x) const { ${at} = convert<${type}>(x); }`;
    };
    const width = (i: number): unknown => inputs[i] && view(i).dims[2];
    const decay = inputs[4] ? (width(4) === heads ? 1 : 2) : 0;
    const beta = inputs[5] ? (width(5) === 1 ? 1 : 2) : 0;
    const lines = [
      `static constexpr int key_size = ${String(keySize)}, value_size = ${String(valueSize)}, group = ${String(sizes.group)};`,
      `static constexpr f32 scale = f32(${String(given === 0 ? 1 / Math.sqrt(keySize) : given)});`,
      `static constexpr bool has_past = ${String(inputs[3] !== undefined)};`,
      `static constexpr int decay = ${String(decay)}, beta = ${String(beta)};`,
      'const Arguments& a;',
      `TW_DEVICE i64 steps() const { return ${args.dim(steps!)}; }`,
      ...read('query', 0, 'i64 b, i64 t, i64 h, i64 d', ['b', 't', `(h * ${String(keySize)} + d)`]),
      ...read('key', 1, 'i64 b, i64 t, i64 h, i64 d', ['b', 't', `(h * ${String(keySize)} + d)`]),
      ...read('value', 2, 'i64 b, i64 t, i64 h, i64 m', ['b', 't', `(h * ${String(valueSize)} + m)`]),
      ...read('past', 3, 'i64 b, i64 h, i64 d, i64 m', ['b', 'h', 'd', 'm']),
      ...read('decay_at', 4, 'i64 b, i64 t, i64 h, i64 d', [
        'b',
        't',
        decay === 1 ? 'h' : `(h * ${String(keySize)} + d)`,
      ]),
      ...read('beta_at', 5, 'i64 b, i64 t, i64 h', ['b', 't', beta === 1 ? '0' : 'h']),
      write('write', 0, 'i64 b, i64 t, i64 h, i64 m', ['b', 't', `(h * ${String(valueSize)} + m)`]),
      write('write_state', 1, 'i64 b, i64 h, i64 d, i64 m', ['b', 'h', 'd', 'm']),
    ];
    return launchStep({
      uses: ['attention_linear'],
      text: `
struct Problem {
${lines.map((l) => `  ${l}\n`).join('')}};
extern "C" __global__ void __launch_bounds__(${String(columns)}) linear_attention(const __grid_constant__ Arguments a) {
  attention_linear<${String(columns)}>(Problem{a});
}
`,
      arguments: args,
      launches: [
        {
          function: 'linear_attention',
          grid: [ceilDivDims(valueSize, columns), heads, batch!],
          block: [columns, 1, 1],
          sharedBytes: sharedBytes(sizes),
        },
      ],
      outputs: 2,
    });
  },
};

function sizesOf(group: GroupView): Sizes | undefined {
  const { attributes, inputs } = group.anchor!;
  const [queryHeads, keyHeads] = [attributes['qNumHeads'] as number, attributes['kvNumHeads'] as number];
  const [q, v] = [inputs[0]!, inputs[2]!].map((x) => (x.type as TensorType).dims![2]);
  if (typeof q !== 'number' || typeof v !== 'number') return undefined;
  return { group: queryHeads / keyHeads, keySize: q / queryHeads, valueSize: v / keyHeads };
}

function sharedBytes({ group, keySize }: Sizes): number {
  return 4 * keySize * (columns + 2 + group);
}
