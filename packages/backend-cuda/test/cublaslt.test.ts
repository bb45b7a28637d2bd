import { Builder, type Plan } from '@tensorwright/builder';
import {
  type DType,
  type GraphBuilder,
  NetworkDefinition,
  registerBackend,
  type TacticSource,
  type Value,
} from '@tensorwright/core';
import { loadNative } from '@tensorwright/native';
import { Runtime } from '@tensorwright/runtime';
import { describe, expect, it } from 'vitest';
import { cudaBackend } from '../src/index.js';
import { compare, type Comparison, hasDevice, type Input } from './compare.js';

const status = loadNative().cuda.status();
const hasLibrary = status.available && status.cublasLt.version !== undefined;

const product = (inputs: readonly Input[], graph: Comparison['graph'], algorithm = 0): Promise<void> =>
  compare({ inputs, graph, force: { tactic: 'cuda.cublaslt', parameters: { algorithm } } });

const plain = { lhs: 'mk', rhs: 'kn', out: 'mn' };

describe.skipIf(!hasDevice || !hasLibrary)('products by cuBLASLt', () => {
  it.each([
    ['float16', plain, [33, 40], [40, 24]],
    ['bfloat16', plain, [5, 70], [70, 9]],
    ['float32', { lhs: 'km', rhs: 'nk', out: 'mn' }, [40, 12], [20, 40]],
    ['float32', { lhs: 'mk', rhs: 'kn', out: 'nm' }, [7, 8], [8, 5]],
    ['float16', { lhs: 'bqd', rhs: 'bkd', out: 'bqk' }, [3, 7, 8], [3, 9, 8]],
    ['float16', { lhs: 'bsk', rhs: 'kn', out: 'bsn' }, [2, 5, 16], [16, 24]],
    ['float32', { lhs: 'bsxy', rhs: 'xyhe', out: 'bshe' }, [2, 5, 4, 6], [4, 6, 3, 8]],
    ['float16', { lhs: 'bhqd', rhs: 'bhkd', out: 'bhqk' }, [2, 3, 1, 8], [2, 3, 5, 8]],
    ['float32', { lhs: 'mk', rhs: 'nk', out: 'mn' }, [1, 8], [1, 8]],
    ['float32', plain, [0, 8], [8, 4]],
  ] as [DType, Record<string, string>, number[], number[]][])('%s %j of %j and %j', (dtype, labels, left, right) =>
    product(
      [left, right].map((dims) => ({ dtype, dims })),
      (b, x, w) => b.op('dot', [x, w], labels),
    ),
  );

  it.each([0, 1, 2, 3])('takes choice %i of the library', (algorithm) =>
    product(
      [
        { dtype: 'float16', dims: [17, 32] },
        { dtype: 'float16', dims: [32, 8] },
      ],
      (b, x, w) => b.op('dot', [x, w], plain),
      algorithm,
    ),
  );

  it('rounds operands to tf32 where that is asked for', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [17, 32] },
        { dtype: 'float32', dims: [32, 8] },
      ],
      graph: (b, x, w) => b.op('dot', [x, w], { ...plain, tf32: true }),
      force: { tactic: 'cuda.cublaslt', parameters: { algorithm: 0 } },
      tolerance: 1e-3,
    }));

  it('takes extents that only the run knows', () =>
    product(
      [
        { dtype: 'float16', dims: [3, 7, 16], symbols: [undefined, 's'] },
        { dtype: 'float16', dims: [3, 7, 16], symbols: [undefined, 's'] },
      ],
      (b, x, w) => b.op('dot', [x, w], { lhs: 'bqd', rhs: 'bkd', out: 'bqk' }),
    ));

  const gelu = (b: GraphBuilder, v: Value): Value => b.op('gelu', [v], { approximate: 'tanh' });
  const add = (b: GraphBuilder, v: Value, w: Value): Value => b.op('add', [v, w]);
  it.each([
    ['bias', [[24]], (b, v, [bias]) => add(b, bias!, v)],
    ['bias and relu', [[1, 24]], (b, v, [bias]) => b.op('relu', [add(b, v, bias!)])],
    ['bias and gelu', [[24]], (b, v, [bias]) => gelu(b, add(b, v, bias!))],
    ['gelu', [], (b, v) => gelu(b, v)],
    ['residual', [[33, 24]], (b, v, [residual]) => add(b, v, residual!)],
    ['all', [[24], [33, 24]], (b, v, [bias, residual]) => b.op('relu', [add(b, residual!, add(b, v, bias!))])],
  ] as [string, number[][], (b: GraphBuilder, v: Value, sides: Value[]) => Value][])(
    'computes %s along with the product',
    (_, sides, epilogue) =>
      product(
        [[33, 40], [40, 24], ...sides].map((dims) => ({ dtype: 'float32', dims })),
        (b, x, w, ...rest) => epilogue(b, b.op('dot', [x, w], plain), rest),
      ),
  );

  it.each(['float16', 'float32'] as const)('multiplies the pixels of %s images', (dtype) =>
    product(
      [[2, 16, 5, 7], [24, 16, 1, 1], [24]].map((dims) => ({ dtype, dims })),
      (b, x, w, bias) => {
        const conv = b.op('conv', [x, w, bias], { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], group: 1 });
        return b.op('relu', [conv]);
      },
    ),
  );

  it('leaves operands to our own kernels that lie otherwise', () =>
    product(
      [
        { dtype: 'float32', dims: [33, 80] },
        { dtype: 'float32', dims: [40, 24] },
      ],
      (b, x, w) => {
        const every2nd = b.op('slice', [x], { starts: [0, 0], sizes: [33, 40], steps: [1, 2] });
        return b.op('dot', [every2nd, w], plain);
      },
    ));
});

describe.skipIf(!hasDevice || !hasLibrary)('plans that use cuBLASLt', () => {
  const needs = { of: cudaBackend.needs! };
  const build = async (tacticSources?: readonly TacticSource[]): Promise<Plan> => {
    // Ours are left out where the library has a tactic.
    registerBackend({
      ...cudaBackend,
      needs: (kernels) => needs.of(kernels),
      candidates: (node) => {
        const all = cudaBackend.candidates(node);
        const library = all.filter((c) => c.source === 'cublasLt');
        return library.length > 0 && tacticSources === undefined ? library : all;
      },
    });
    const network = new NetworkDefinition();
    const [x, w] = [network.addInput('x', 'float32', [16, 32]), network.addInput('w', 'float32', [32, 24])];
    network.markOutput(network.addMatrixMultiply(x, 'none', w, 'none'), 'y');
    return new Builder().build(network.toNetwork(), {
      backends: ['cuda', 'cpu'],
      ...(tacticSources && { tacticSources }),
    });
  };
  const needsOf = (plan: Plan): readonly string[] => plan.header.backends.find((b) => b.name === 'cuda')!.needs;

  it('say so', async () => {
    const plan = await build();
    expect(needsOf(plan)).toEqual(['cublasLt 13']);
    await (await Runtime.load(await plan.toBytes())).close();
  });

  it('are refused where it is missing', async () => {
    needs.of = () => ['cublasLt 99'];
    const plan = await build();
    await expect(Runtime.load(await plan.toBytes())).rejects.toMatchObject({
      code: 'ERR_BACKEND_UNAVAILABLE',
      message: expect.stringMatching(/the plan needs cublasLt 99; this machine has 13\./) as string,
    });
    needs.of = cudaBackend.needs!;
  });

  it('are not made where it may not be used', async () => {
    const plan = await build([]);
    expect(needsOf(plan)).toEqual([]);
    expect(plan.header.program.steps.map((s) => s.kernel)).not.toContain('cublaslt');
  });
});
