/** Whether two tactics have computed the same: within what their number formats allow. */

import {
  type DType,
  dtypeInfo,
  isFloat,
  type Node,
  readIntegers,
  readNumbers,
  type Tensor,
  topologicalOrder,
} from '@tensorwright/core';

/**
 * What two results may differ by, as a fraction of the expected element plus the root mean square of all: sums are taken
 * in other orders, and groups round once or at every operator. Wrong kernels are off by more than that nearly always.
 */
const tolerances: Partial<Record<DType, number>> = { float64: 1e-9, float32: 1e-3, float16: 0.03, bfloat16: 0.2 };
/** Of formats below 16 bits. */
const coarse = 0.5;
/** Of float32 where contractions may round their operands to TensorFloat-32. */
const tensorFloat32 = 0.02;

/** Results that jump: next to a jump, a difference of rounding becomes one of values, in a few elements. */
const jumping = new Set([
  ...['round', 'floor', 'ceil', 'trunc', 'sign', 'mod', 'equal', 'less', 'lessOrEqual', 'greater', 'greaterOrEqual'],
  ...['quantizeLinear', 'dequantizeLinear', 'cast', 'castMap', 'where', 'isInf', 'isNaN', 'bitCast', 'topK'],
  ...['argExtreme', 'nonMaxSuppression', 'unique', 'oneHot', 'resize', 'maxPoolWithIndices', 'maxUnpool', 'hardmax'],
  ...['roiAlign', 'maxRoiPool', 'gridSample', 'deformConv', 'treeEnsemble'],
]);
const jumpingElements = 0.01;

/** How closely results of a node must agree. */
export interface Closeness {
  readonly tolerance: number;
  /** The fraction of the elements that may differ. */
  readonly elements: number;
}

/** @param tf32 whether contractions may round float32 operands */
export function closenessOf(node: Node, tf32: boolean): Closeness {
  let tolerance = 0;
  let elements = 0;
  const visit = (n: Node): void => {
    if (jumping.has(n.op)) elements = jumpingElements;
    for (const v of [...n.inputs, ...n.outputs]) {
      const type = v?.type;
      if (type?.kind !== 'tensor') continue;
      if (isFloat(type.dtype)) tolerance = Math.max(tolerance, toleranceOf(type.dtype, tf32));
    }
    for (const region of n.regions) topologicalOrder(region).forEach(visit);
  };
  visit(node);
  const [output] = node.outputs;
  if (output?.type.kind === 'tensor' && !isFloat(output.type.dtype)) elements = jumpingElements;
  return { tolerance, elements };
}

function toleranceOf(dtype: DType, tf32: boolean): number {
  const own = tolerances[dtype] ?? coarse;
  return dtype === 'float32' && tf32 ? tensorFloat32 : own;
}

/** What differs, as a sentence; undefined where the two agree. */
export function disagreement(found: Tensor, expected: Tensor, closeness: Closeness): string | undefined {
  if (found.dtype !== expected.dtype || found.dims.join() !== expected.dims.join())
    return `it gives ${found.dtype}[${found.dims.join(', ')}], not ${expected.dtype}[${expected.dims.join(', ')}]`;
  const kind = dtypeInfo(found.dtype).class;
  if (kind === 'string' || kind === 'complex') return undefined;
  const count = kind === 'float' ? differingNumbers(found, expected, closeness) : differingIntegers(found, expected);
  const total = found.dims.reduce((product, d) => product * d, 1);
  if (count.differing <= closeness.elements * total) return undefined;
  return `${String(count.differing)} of ${String(total)} elements differ, the first at ${String(count.first)}: ${count.values}`;
}

interface Differing {
  readonly differing: number;
  readonly first: number;
  readonly values: string;
}

function differingNumbers(found: Tensor, expected: Tensor, { tolerance }: Closeness): Differing {
  const a = readNumbers(found);
  const b = readNumbers(expected);
  let squares = 0;
  let finite = 0;
  for (const x of b) {
    if (!Number.isFinite(x)) continue;
    squares += x * x;
    finite++;
  }
  const scale = Math.sqrt(squares / Math.max(1, finite));
  let differing = 0;
  let first = -1;
  for (let i = 0; i < a.length; i++) {
    const x = a[i]!;
    const y = b[i]!;
    const both = Number.isFinite(x) && Number.isFinite(y);
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    if (both && Math.abs(x - y) <= tolerance * (Math.abs(y) + scale)) continue;
    differing++;
    if (first < 0) first = i;
  }
  return { differing, first, values: `${String(a[first])} and ${String(b[first])}` };
}

/** Quantized results may round the other way. */
function differingIntegers(found: Tensor, expected: Tensor): Differing {
  const a = readIntegers(found);
  const b = readIntegers(expected);
  const byte = found.dtype === 'int8' || found.dtype === 'uint8';
  let differing = 0;
  let first = -1;
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - b[i]!;
    if (difference === 0n || (byte && (difference === 1n || difference === -1n))) continue;
    differing++;
    if (first < 0) first = i;
  }
  return { differing, first, values: `${String(a[first])} and ${String(b[first])}` };
}
