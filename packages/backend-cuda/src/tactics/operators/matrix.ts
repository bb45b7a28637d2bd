/** det, inverse: a block to a matrix, eliminated in scratch memory. */

import { type Dim, type EmitContext, type EmittedStep, type GroupView, mulDims, productOf } from '@tensorwright/core';
import { Arguments } from '../../launch/arguments.js';
import { launchStep } from '../../launch/launch-step.js';
import type { Tactic } from '../../tactic.js';
import { AnchorOperands, coordinates, names } from './element-kernel.js';
import { operatorTactic } from './operator-tactic.js';

const threads = 256;

export const matrix: Tactic = operatorTactic({
  name: 'matrix',
  operators: ['det', 'inverse'],
  emit(group: GroupView, context: EmitContext): Promise<EmittedStep> {
    const args = new Arguments();
    const operands = new AnchorOperands(group, context, args);
    const [x, y] = [operands.input(0), operands.output()];
    const inverse = group.anchor!.op === 'inverse';
    // float32 matrices lose too much in elimination when they are near singular.
    const real = 'f64';
    const n = x.view.dims.at(-1)!;
    const batch = x.view.dims.slice(0, -2);
    const columns: Dim = inverse ? mulDims(n, 2) : n;
    const work = args.workspace(0, real);
    const c = names('c', batch.length);
    const t = String(threads);
    const text = `
extern "C" __global__ void __launch_bounds__(${t}) matrix(const __grid_constant__ Arguments a) {
  wait_for_predecessor();
  let_successor_start();
  const i64 i = blockIdx.x;
${coordinates(batch, 'rows', 'i64', args)}
  const i32 n = ${args.dim(n)}, columns = ${args.dim(columns)};
  ${real}* const rows = ${work} + i * n * columns;
  for (i64 e = threadIdx.x; e < i64(n) * columns; e += ${t}) {
    const i32 row = i32(e / columns), column = i32(e % columns);
    rows[e] = column < n ? convert<${real}>(${x.at([...c, 'row', 'column'])}) : ${real}(column - n == row);
  }
  const ${real} determinant = eliminate<${t}>(rows, n, columns);
${
  inverse
    ? `  for (i64 e = threadIdx.x; e < i64(n) * n; e += ${t}) {
    const i32 row = i32(e / n), column = i32(e % n);
    const ${real} value = determinant == 0 ? bit_cast<f64>(0x7ff8000000000000ull) : rows[i64(row) * columns + n + column];
    ${y.at([...c, 'row', 'column'])} = convert<${y.type}>(value);
  }`
    : `  if (threadIdx.x == 0) ${y.at(c)} = convert<${y.type}>(determinant);`
}
}
`;
    return launchStep({
      uses: ['matrix'],
      text,
      arguments: args,
      launches: [{ function: 'matrix', grid: [productOf(batch), 1, 1], block: [threads, 1, 1] }],
      workspaceBytes: mulDims(mulDims(productOf(batch), mulDims(n, columns)), 8),
    });
  },
});
