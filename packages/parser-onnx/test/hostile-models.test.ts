import { TensorwrightError } from '@tensorwright/core';
import { OnnxParser, type ParseOptions } from '@tensorwright/parser-onnx';
import { describe, expect, it } from 'vitest';
import { onnx } from '../src/proto/decode.js';
import { FLOAT, INT64, modelBytes, node, reasons, refusal, tensorInfo } from './support/handmade-model.js';

describe('bytes that are no model', () => {
  it.each([
    ['nothing', new Uint8Array(0)],
    ['text', new TextEncoder().encode('this is no model at all')],
    ['an endless varint', new Uint8Array(64).fill(0xff)],
    ['a length past the end', Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0x7f)],
  ])('refuses %s', async (_, bytes) => {
    expect((await refusal(bytes)).code).toBe('ERR_INVALID_MODEL');
  });

  const [utf8, plan] = [(t: string): Uint8Array => new TextEncoder().encode(t), 'TWPLAN\r\n and more'];
  const weights = '{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}';
  it.each([
    ['a pointer of Git LFS', utf8('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n'), 'git lfs pull'],
    ['a web page', utf8('\n<!DOCTYPE html><html></html>'), 'download has failed'],
    ['a PyTorch checkpoint', Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0), 'torch.onnx.export'],
    ['a compressed file', Uint8Array.of(0x1f, 0x8b, 8, 0), 'unpack'],
    ['a TensorFlow Lite model', utf8('\x1c\0\0\0TFL3'), 'tf2onnx'],
    ['weights', Uint8Array.of(weights.length, 0, 0, 0, 0, 0, 0, 0, ...utf8(weights), 0, 0, 0, 0), 'safetensors'],
    ['a plan', utf8(plan), 'Runtime.load'],
  ])('says what to do with %s', async (_, bytes, what) => {
    const error = await refusal(bytes, { path: 'net.onnx' });
    expect(error.code).toBe('ERR_INVALID_MODEL');
    expect(error.message).toMatch(/^net\.onnx: it is no ONNX model but /);
    expect(error.message).toContain(what);
  });

  it('refuses every truncation of a good model with a coded error', async () => {
    const good = modelBytes({ node: [node('Relu', ['x'], ['y'])] });
    await OnnxParser.parse(good);
    for (let length = 0; length < good.length; length++) {
      try {
        await OnnxParser.parse(good.slice(0, length));
      } catch (error) {
        expect(TensorwrightError.is(error), `${length} bytes: ${String(error)}`).toBe(true);
        expect((error as TensorwrightError).code).not.toBe('ERR_INTERNAL');
      }
    }
  });

  it('survives flipped bytes with a coded error or a network', async () => {
    const good = modelBytes({
      node: [node('Reshape', ['x', 'w'], ['r']), node('Relu', ['r'], ['y'])],
      initializer: [{ name: 'w', dims: [1], dataType: INT64, int64Data: [2] }],
    });
    for (let at = 0; at < good.length; at++) {
      for (const bits of [0x01, 0x80, 0xff]) {
        const bad = good.slice();
        bad[at]! ^= bits;
        try {
          await OnnxParser.parse(bad);
        } catch (error) {
          expect(TensorwrightError.is(error), `byte ${at} ^ ${bits}: ${String(error)}`).toBe(true);
          expect((error as TensorwrightError).code, `byte ${at} ^ ${bits}: ${String(error)}`).not.toBe('ERR_INTERNAL');
        }
      }
    }
  });
});

describe('graphs', () => {
  it('collects all problems, and none of their consequences', async () => {
    const error = await refusal(
      modelBytes({
        node: [
          node('NoSuchOperator', ['x'], ['a']),
          node('Relu', ['a'], ['b']),
          // Unknown whatever it is given: no consequence.
          node('NoSuchOperatorEither', ['b'], ['e']),
          node('Relu', ['missing'], ['c']),
          node('Add', ['b', 'c'], ['y']),
          node('Transpose', ['x'], ['d'], {
            attribute: [{ name: 'perm', type: onnx.AttributeProto.AttributeType.INTS, ints: [3, 1] }],
          }),
        ],
      }),
    );
    const problems = error.details['problems'] as { node: string; operator: string; reason: string; opset: number }[];
    expect(problems.map((p) => p.node)).toEqual([
      'NoSuchOperator a',
      'NoSuchOperatorEither e',
      'Relu c',
      'Transpose d',
    ]);
    expect(problems[0]).toMatchObject({ operator: 'NoSuchOperator', opset: 17 });
    expect(problems[2]!.reason).toContain("'missing'");
    expect(error.message).toContain('4 problems');
  });

  it('sorts nodes that come before what they need', async () => {
    const network = await OnnxParser.parse(
      modelBytes({ node: [node('Relu', ['a'], ['y']), node('Neg', ['x'], ['a'])] }),
    );
    expect(network.outputs[0]!.value.node.op).toBe('relu');
  });

  it('refuses cycles, by name', async () => {
    const text = await reasons({
      node: [node('Neg', ['b'], ['a']), node('Neg', ['a'], ['b']), node('Add', ['x', 'b'], ['y'])],
    });
    expect(text).toMatch(/depend on themselves: Neg [ab] → Neg [ab] → Neg [ab]/);
  });

  it('refuses duplicate names of values, inputs, outputs and initializers', async () => {
    expect(await reasons({ node: [node('Neg', ['x'], ['y']), node('Abs', ['x'], ['y'])] })).toContain(
      'has the name of another value',
    );
    expect(await reasons({ input: [tensorInfo('x'), tensorInfo('x')], node: [node('Neg', ['x'], ['y'])] })).toContain(
      'taken by another input',
    );
    expect(await reasons({ output: [tensorInfo('y'), tensorInfo('y')], node: [node('Neg', ['x'], ['y'])] })).toContain(
      'taken by another output',
    );
  });

  it('refuses outputs that nothing gives, graphs without outputs, models without graph or of an unknown version', async () => {
    expect(await reasons({ node: [] })).toContain("output 'y'");
    expect(await reasons({ node: [node('Neg', ['x'], ['y'])], output: [] })).toContain('no outputs');
    const bare = onnx.ModelProto.encode({ irVersion: 8, opsetImport: [{ domain: '', version: 17 }] }).finish();
    expect((await refusal(bare)).message).toContain('no graph');
    const graph = { node: [node('Neg', ['x'], ['y'])] };
    expect((await refusal(modelBytes(graph, { irVersion: 99 }))).message).toContain('IR version 99');
    expect((await refusal(modelBytes(graph, { opsetImport: [{ domain: '', version: 999 }] }))).message).toContain(
      'opset 999',
    );
    expect((await refusal(modelBytes(graph, { opsetImport: [] }))).message).toContain('imports no opset');
  });

  it('refuses a declared output dtype that is not the computed one', async () => {
    expect(await reasons({ node: [node('Neg', ['x'], ['y'])], output: [tensorInfo('y', [2], INT64)] })).toContain(
      'declared as int64',
    );
  });

  /** A model with `depth` Ifs inside one another, put together from the inside out. */
  function nested(depth: number): Uint8Array {
    const field = (number: number, bytes: Uint8Array): Uint8Array => {
      const length: number[] = [];
      for (let n = bytes.length; length.push(n > 127 ? (n & 127) | 128 : n) && n > 127; n >>>= 7);
      return Buffer.concat([Uint8Array.of((number << 3) | 2, ...length), bytes]);
    };
    const leaf = { name: 'b', node: [node('Neg', ['x'], ['o'])], output: [{ name: 'o' }] };
    let body: Uint8Array = onnx.GraphProto.encode(leaf).finish();
    const elseBranch = onnx.AttributeProto.encode({ name: 'else_branch', type: 5, g: leaf }).finish();
    const graphOutput = field(12, onnx.ValueInfoProto.encode({ name: 'o' }).finish());
    let top: Uint8Array = new Uint8Array();
    for (let i = 0; i < depth; i++) {
      const thenBranch = Buffer.concat([
        onnx.AttributeProto.encode({ name: 'then_branch', type: 5 }).finish(),
        field(6, body),
      ]);
      top = Buffer.concat([
        onnx.NodeProto.encode({ opType: 'If', input: ['c'], output: ['o'] }).finish(),
        field(5, thenBranch),
        field(5, elseBranch),
      ]);
      body = Buffer.concat([field(1, top), graphOutput]);
    }
    const c = { name: 'c', type: { tensorType: { elemType: onnx.TensorProto.DataType.BOOL, shape: { dim: [] } } } };
    const rest = onnx.GraphProto.encode({
      name: 'g',
      input: [tensorInfo('x'), c],
      output: [tensorInfo('y')],
      node: [node('Neg', ['o'], ['y'])],
    }).finish();
    return Buffer.concat([
      onnx.ModelProto.encode({ irVersion: 8, opsetImport: [{ domain: '', version: 17 }] }).finish(),
      field(7, Buffer.concat([field(1, top), rest])),
    ]);
  }

  it('takes nesting up to a limit', { timeout: 60_000 }, async () => {
    const network = await OnnxParser.parse(nested(60));
    expect(network.inputs.map((i) => i.name)).toEqual(['x', 'c']);
    for (const depth of [100, 2000]) expect((await refusal(nested(depth))).code).toBe('ERR_LIMIT_EXCEEDED');
    expect(await refusal(nested(20), { maxDepth: 10 })).toMatchObject({
      code: 'ERR_LIMIT_EXCEEDED',
      details: { option: 'maxDepth' },
    });
  });

  it('ends on shapes that grow without end', async () => {
    // Every node doubles the number of terms of a dimension: a + b, then products of such sums.
    const nodes = [node('Concat', ['x', 'z'], ['v0'], { attribute: [{ name: 'axis', type: 2, i: 0 }] })];
    for (let i = 0; i < 60; i++) {
      nodes.push(
        node('Shape', [`v${i}`], [`s${i}`]),
        node('Mul', [`s${i}`, `s${i}`], [`m${i}`]),
        node('ConstantOfShape', [`m${i}`], [`v${i + 1}`]),
      );
    }
    nodes.push(node('Neg', ['v60'], ['y']));
    const error = await refusal(
      modelBytes({
        input: [tensorInfo('x', ['a']), tensorInfo('z', ['b'])],
        node: nodes,
        output: [tensorInfo('y', ['c'])],
      }),
    );
    expect(error.code).toBe('ERR_LIMIT_EXCEEDED');
  });
});

describe('functions', () => {
  const imports = {
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'f', version: 1 },
    ],
  };
  const fn = (name: string, nodes: onnx.NodeProto.$Properties[]): onnx.FunctionProto.$Properties => ({
    name,
    domain: 'f',
    input: ['x'],
    output: ['y'],
    node: nodes,
    ...imports,
  });

  it('refuses recursion', async () => {
    const functions = [
      fn('A', [node('B', ['x'], ['y'], { domain: 'f' })]),
      fn('B', [node('A', ['x'], ['y'], { domain: 'f' })]),
    ];
    expect(await reasons({ node: [node('A', ['x'], ['y'], { domain: 'f' })] }, { functions, ...imports })).toContain(
      'calls itself: f:A → f:B → f:A',
    );
  });

  it('refuses functions that double', async () => {
    const functions = Array.from({ length: 40 }, (_, i) =>
      fn(
        `F${i}`,
        i === 0
          ? [node('Neg', ['x'], ['y'])]
          : [node(`F${i - 1}`, ['x'], ['h'], { domain: 'f' }), node(`F${i - 1}`, ['h'], ['y'], { domain: 'f' })],
      ),
    );
    const error = await refusal(
      modelBytes({ node: [node('F39', ['x'], ['y'], { domain: 'f' })] }, { functions, ...imports }),
      { maxExpandedNodes: 1000 },
    );
    expect(error).toMatchObject({ code: 'ERR_LIMIT_EXCEEDED', details: { option: 'maxExpandedNodes', limit: 1000 } });
  });
});

describe('tensors', () => {
  const withWeight = (w: onnx.TensorProto.$Properties): onnx.GraphProto.$Properties => ({
    node: [node('Add', ['x', 'w'], ['y'])],
    initializer: [{ name: 'w', dims: [2], dataType: FLOAT, ...w }],
  });

  it.each([
    ['raw data of the wrong length', { rawData: new Uint8Array(7) }, '8 bytes of raw_data, has 7'],
    ['too few typed values', { floatData: [1] }, '2 entries in its typed field, has 1'],
    ['values in a field of another type', { doubleData: [1, 2] }, '2 entries in its typed field, has 0'],
    ['negative dims', { dims: [-2], rawData: new Uint8Array(8) }, 'non-negative'],
    ['dims that overflow', { dims: [2 ** 40, 2 ** 40], rawData: new Uint8Array(8) }, 'overflow'],
    ['an unknown element type', { dataType: 77, rawData: new Uint8Array(8) }, 'unknown element type 77'],
  ])('refuses %s', async (_, tensor, message) => {
    expect(await reasons(withWeight(tensor))).toContain(message);
  });

  it('refuses negative extents of inputs', async () => {
    expect(await reasons({ input: [tensorInfo('x', [-1])], node: [node('Neg', ['x'], ['y'])] })).toContain(
      'non-negative',
    );
  });

  it('refuses a sparse tensor that would explode', async () => {
    const sparse = {
      values: { name: 'w', dims: [1], dataType: FLOAT, floatData: [1] },
      indices: { dims: [1], dataType: INT64, int64Data: [5] },
      dims: [2 ** 40],
    };
    const error = await refusal(modelBytes({ node: [node('Add', ['x', 'w'], ['y'])], sparseInitializer: [sparse] }));
    expect(error.message).toContain('maxConstantBytes');
  });
});

describe('options', () => {
  const good = modelBytes({ node: [node('Neg', ['x'], ['y'])] });

  it.each([
    ['a misspelt name', { maxnodes: 5 }, "did you mean 'maxNodes'"],
    ['an unknown name', { colour: 5 }, "unknown option 'colour'"],
    ['a wrong type', { maxNodes: 'many' }, "option 'maxNodes' must be a positive integer"],
    ['a wrong signal', { signal: {} }, 'AbortSignal'],
  ])('refuses %s', async (_, options, message) => {
    const error = await refusal(good, options as ParseOptions);
    expect(error.code).toBe('ERR_INVALID_OPTION');
    expect(error.message).toContain(message);
  });

  it('obeys limits and signals', async () => {
    expect(await refusal(good, { maxModelBytes: 10 })).toMatchObject({
      code: 'ERR_LIMIT_EXCEEDED',
      details: { option: 'maxModelBytes' },
    });
    const two = modelBytes({ node: [node('Neg', ['x'], ['a']), node('Neg', ['a'], ['y'])] });
    expect(await refusal(two, { maxNodes: 1 })).toMatchObject({
      code: 'ERR_LIMIT_EXCEEDED',
      details: { option: 'maxNodes' },
    });
    const integers = modelBytes({
      node: [node('Neg', ['x'], ['y'])],
      initializer: [{ name: 'w', dims: [300], dataType: INT64, int64Data: new Array<number>(300).fill(1) }],
    });
    await OnnxParser.parse(integers, { maxTypedElements: 1300 });
    expect(await refusal(integers, { maxTypedElements: 1000 })).toMatchObject({
      code: 'ERR_LIMIT_EXCEEDED',
      details: { option: 'maxTypedElements' },
    });
    const reason = new Error('stop');
    await expect(OnnxParser.parse(good, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});
