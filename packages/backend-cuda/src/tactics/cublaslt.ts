/** Matrix products by cuBLASLt, where this machine has it: its first choices race with our own kernels. */

import {
  type Candidate,
  type Dim,
  dimBounds,
  type EmitContext,
  type EmittedOperand,
  type EmittedStep,
  type GroupView,
  type MemoryView,
  productOf,
  type TensorType,
} from '@tensorwright/core';
import { native } from '../native.js';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { contraction } from './contraction.js';
import { operandLayouts, refuseContraction } from './contraction/group.js';
import { type Epilogue, epilogueOf } from './cublaslt/epilogue.js';
import {
  type Matrix,
  type MatrixProduct,
  matrixProduct,
  plainProblem,
  type ViewOf,
} from './cublaslt/matrix-problem.js';
import { denseView } from './dense-view.js';
import { dtypeOf, floats } from './operands.js';
import { estimatesBehindOwn } from './own-estimate.js';

export const cublaslt: Tactic = {
  name: 'cublaslt',
  source: 'cublasLt',
  refuses(group: GroupView): string | undefined {
    const reason = refuseContraction(group);
    if (reason !== undefined) return reason;
    const problem = plainProblem(group);
    if (!problem) return 'not a matrix product';
    const [left, right] = [problem.left.dtype, problem.right.dtype];
    if (left !== right || !floats.has(left)) return `not a product that cuBLASLt has: ${left} by ${right}`;
    if (dimBounds(productOf(problem.depth)).min < 1) return 'not a product that cuBLASLt has: sums may be empty';
    const epilogue = epilogueOf(group, problem);
    if (!epilogue || !typesMatch(group, epilogue)) return 'not maps that cuBLASLt computes along with a product';
    if (!productOfGroup(group, epilogue)) return 'not one matrix product of operands with one stride';
    return missing();
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    return estimatesBehindOwn(group, choices).map((estimate, algorithm) => ({
      parameters: { algorithm, version: version() ?? '' },
      ...operandLayouts(group),
      estimate,
    }));
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const epilogue = epilogueOf(group, plainProblem(group)!)!;
    const product = productOfGroup(group, epilogue, (i) => context.view(i)!, context.outputView(0));
    // Operands that came out of slices may lie in ways that the library has no words for.
    if (!product) {
      const { inputs } = operandLayouts(group);
      const own = contraction.candidates(group).find((c) => c.inputs.every((access, i) => access === inputs[i]))!;
      return contraction.emit(group, { ...candidate, ...own }, context);
    }
    return Promise.resolve(describe(group, epilogue, product, candidate));
  },
};

/** What steps of these kernels need; the plan says so. */
export function needsOfCublasLt(kernels: ReadonlySet<string>): readonly string[] {
  return kernels.has(kernel) ? [`cublasLt ${version()!.split('.')[0]!}`] : [];
}

const kernel = 'cublaslt';
/** How many of the library's choices are offered. */
const choices = 16;

function missing(): string | undefined {
  const status = native().cuda.status();
  return status.available ? status.cublasLt.reason : status.reason;
}

function version(): string | undefined {
  const status = native().cuda.status();
  return status.available ? status.cublasLt.version : undefined;
}

/** Bias and residual are of the result's type, which is the operands' or float32. */
function typesMatch(group: GroupView, { bias, residual }: Epilogue): boolean {
  const result = dtypeOf(group.outputs[0]);
  const sides = [bias, residual].flatMap((i) => (i === undefined ? [] : [dtypeOf(group.node.inputs[i])]));
  const operand = dtypeOf(group.anchor!.inputs[0]);
  return (result === operand || result === 'float32') && sides.every((d) => d === result);
}

/** Of operands as they lie; without views, of dense ones. undefined where the library cannot say it. */
function productOfGroup(
  group: GroupView,
  epilogue: Epilogue,
  view?: ViewOf,
  output?: MemoryView,
): MatrixProduct | undefined {
  const channelsLast = group.anchor!.op === 'conv';
  const viewOf = view ?? ((i) => denseView((group.node.inputs[i]!.type as TensorType).dims!, channelsLast));
  const to = output ?? denseView((group.outputs[0]!.type as TensorType).dims!, channelsLast);
  return matrixProduct(plainProblem(group, viewOf)!, epilogue, viewOf, to, dtypeOf(group.outputs[0])!);
}

/** native/src/cuda/matrix_product.cpp reads it. */
function describe(group: GroupView, epilogue: Epilogue, product: MatrixProduct, candidate: Candidate): EmittedStep {
  const { activation, bias, residual } = epilogue;
  const { a, b, c, d } = product;
  const { left, right } = plainProblem(group)!;
  const { algorithm, version: built } = candidate.parameters;
  const operands: EmittedOperand[] = [
    {
      kind: 'dims',
      values: [product.rows, product.columns, product.depth, product.batch, ...[a, b, c, d].flatMap(place)],
    },
    { kind: 'input', index: right.input },
    { kind: 'input', index: left.input },
  ];
  const add = (input: number | undefined): number =>
    input === undefined ? -1 : operands.push({ kind: 'input', index: input }) - 1;
  return {
    kernel,
    attributes: {
      epilogue: activation,
      bias: add(bias),
      residual: add(residual),
      transposeA: a.transposed,
      transposeB: b.transposed,
      tf32: left.dtype === 'float32' && group.anchor!.attributes['tf32'] === true,
      alignments: [a, b, c, d].map((m) => m.alignment),
      algorithm: algorithm!,
      version: built!,
    },
    inputs: operands,
    outputs: [{ kind: 'output', index: 0 }],
  };
}

function place({ ld, step }: Matrix): Dim[] {
  return [ld, step];
}
