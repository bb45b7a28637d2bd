/** The formula of ScatterElements against ONNX Runtime's. */

import { readNumbers, tensorFromNumbers } from '@tensorwright/core';
import { describe, expect, it } from 'vitest';
import { runOrt } from '../../parser-onnx/test/support/against-onnxruntime.js';
import { scatterElementsCase } from '../src/plugins/cases/scatter-elements.js';
import { Random } from '../src/plugins/random.js';

describe('the formula of ScatterElements', () => {
  const problems = scatterElementsCase
    .problems(new Random(1))
    .filter((p) => !p.timed && p.inputs['updates']!.values.length > 0 && p.inputs['data']!.dtype === 'float');

  it.each(problems)("is ONNX Runtime's: $name", async (problem) => {
    const { inputs, fields } = problem;
    const operands = ['data', 'indices', 'updates'].map((name) => {
      const { dtype, values, dims } = inputs[name]!;
      return tensorFromNumbers(dtype === 'float' ? 'float32' : dtype, values, dims);
    });
    const [output] = await runOrt({ op: 'ScatterElements', opset: 18, inputs: operands, attributes: fields as never });
    const got = readNumbers(output!);
    const wanted = scatterElementsCase.reference(problem)['output']!;
    wanted.forEach((v, i) => expect(Math.abs(got[i]! - v)).toBeLessThan(1e-4 * Math.max(1, Math.abs(v))));
  });
});
