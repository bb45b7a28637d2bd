/** col2im: every element of the image adds up the blocks that cover it. */

import { type EmitContext, type EmittedStep, type GroupView, inferFacts, windowCounts } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, emitOverOutput, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';
import { sumType } from './pool.js';
import { windowsOf } from './windows.js';

export const col2im: Tactic = operatorTactic({
  name: 'col2im',
  operators: ['col2im'],
  refuses: (group) => (blockOf(group) ? undefined : 'the block shape is only known at run time'),
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [x, y] = [operands.input(0), operands.output()];
    const block = blockOf(group)!;
    const windows = windowsOf(group.anchor!.attributes, block);
    const counts = windowCounts(y.view.dims.slice(2), windows);
    const sum = sumType(x.dtype);
    const loops = block.map((size, i) => {
      const [k, stride] = [String(i), windows.strides[i]!];
      return `  for (int t${k} = 0; t${k} < ${String(size)}; ++t${k}) {
    const i32 from${k} = i32(c${String(i + 2)}) + ${args.dim(windows.pads[i]!)} - t${k} * ${String(windows.dilations[i]!)};
    const i32 b${k} = from${k} / ${String(stride)};
    if (from${k} < 0 || from${k} % ${String(stride)} != 0 || b${k} >= ${args.dim(counts[i]!)}) continue;`;
    });
    const taps = String(block.reduce((p, k) => p * k, 1));
    const horner = (letter: string, extent: (k: number) => string): string =>
      block.reduce((text, _, k) => (k === 0 ? `${letter}0` : `(${text}) * ${extent(k)} + ${letter}${String(k)}`), '');
    const tap = horner('t', (k) => String(block[k]!));
    const place = horner('b', (k) => args.dim(counts[k]!));
    return emitOverOutput(
      'col2im',
      args,
      y,
      [x],
      'rows',
      () => `
  ${sum} sum = 0;
${loops.join('\n')}
    sum += convert<${sum}>(${x.at(['c0', `(c1 * ${taps} + ${tap})`, `(${place})`])});
${loops.map(() => '  }').join('\n')}
  ${y.at(names('c', block.length + 2))} = convert<${y.type}>(sum);`,
    );
  },
});

function blockOf(group: GroupView): readonly number[] | undefined {
  const block = inferFacts(group.anchor!.inputs[2]!);
  return block?.every((d) => typeof d === 'number') === true ? block : undefined;
}
