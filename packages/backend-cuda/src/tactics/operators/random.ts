/** randomUniform, randomNormal, multinomial: the numbers that @tensorwright/core draws for the same seed. */

import { type EmitContext, type EmittedStep, type GroupView, productOf } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { type Launch, launchStep } from '../../launch/launch-step.js';
import { indexType } from '../../print/views.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, coordinates, elementKernel, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

export const random: Tactic = operatorTactic({
  name: 'random',
  operators: ['randomUniform', 'randomNormal', 'multinomial'],
  emit: emitRandom,
});

interface Key {
  readonly expression: string;
  readonly text: string;
  readonly launches: readonly Launch[];
  readonly workspaceBytes?: number;
}

/** The seed's bits; without a seed a kernel makes a key of its own for all threads of the run. */
function keyOf(seed: number | undefined, args: Arguments): Key {
  if (seed !== undefined) {
    const bits = new BigUint64Array(Float64Array.of(seed).buffer)[0]!;
    return { expression: `${String(bits)}ull`, text: '', launches: [] };
  }
  const key = args.workspace(0, 'u64');
  const made = elementKernel({ name: 'make_key', count: 1, number: 'i32', body: `  *${key} = fresh_key();` }, args);
  return { expression: `*${key}`, text: made.text, launches: [made.launch], workspaceBytes: 8 };
}

function emitRandom(group: GroupView, context: EmitContext): Promise<EmittedStep> {
  const { op, attributes } = group.anchor!;
  const args = new Arguments();
  const operands = new AnchorOperands(group, context, args);
  const y = operands.output();
  const key = keyOf(attributes['seed'] as number | undefined, args);
  const number = indexType(y.view);
  const c = names('c', y.view.dims.length);
  const draw = elementKernel(
    {
      name: 'draw',
      count: productOf(y.view.dims),
      number,
      body: `${coordinates(y.view.dims, 'rows', number, args)}
  const u64 key = ${key.expression};
${op === 'multinomial' ? chooseClass(operands, args) : `  const f64 value = ${drawn(op, attributes)};`}
  ${y.at(c)} = convert<${y.type}>(value);`,
    },
    args,
  );
  return launchStep({
    uses: ['philox'],
    text: key.text + draw.text,
    arguments: args,
    launches: [...key.launches, draw.launch],
    ...(key.workspaceBytes !== undefined && { workspaceBytes: key.workspaceBytes }),
  });
}

function drawn(op: string, attributes: Readonly<Record<string, unknown>>): string {
  const f64 = (v: number): string => `f64(${String(v)})`;
  if (op === 'randomNormal')
    return `${f64(attributes['mean'] as number)} + ${f64(attributes['scale'] as number)} * philox_normal(key, i)`;
  const [low, high] = [attributes['low'] as number, attributes['high'] as number];
  return `${f64(low)} + ${f64(high - low)} * philox_uniform(key, i)`;
}

/** The first class at which the running sum of probabilities exceeds a random share of their total. */
function chooseClass(operands: AnchorOperands, args: Arguments): string {
  const x = operands.input(0);
  const classes = args.dim(x.view.dims[1]!);
  const score = `static_cast<f64>(convert<${x.dtype === 'float64' ? 'f64' : 'f32'}>(${x.at(['c0', 'k'])}))`;
  return `  f64 top = lowest<f64>(), total = 0, sum = 0;
  for (i32 k = 0; k < ${classes}; ++k) top = max(top, ${score});
  for (i32 k = 0; k < ${classes}; ++k) total += exp(${score} - top);
  const f64 target = philox_uniform(key, i) * total;
  i64 value = ${classes} - 1;
  for (i32 k = 0; k < ${classes}; ++k) {
    sum += exp(${score} - top);
    if (sum > target) {
      value = k;
      break;
    }
  }`;
}
