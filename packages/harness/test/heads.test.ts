import { expect, test } from 'vitest';
import type { FileNode } from '../../cli/src/onnx/model-file.js';
import { headsOf } from '../src/zoo/heads.js';

/** Lines of `outputs = Operator inputs`. */
function nodes(text: string): FileNode[] {
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [outputs, call] = line.split('=').map((part) => part.trim().split(/\s+/)) as [string[], string[]];
      return { name: outputs[0]!, operator: call[0]!, inputs: call.slice(1), outputs };
    });
}

test('what boxes and scores are computed from, all scales of it together', () => {
  const detector = nodes(`
    features = Conv image w0
    small = Conv features w1
    boxes0 = Conv features w2
    boxes1 = Conv small w3
    rows0 = Reshape boxes0 shape
    rows1 = Reshape boxes1 shape
    regression = Concat rows0 rows1
    offsets = Slice regression
    corners = Exp offsets
    scores0 = Conv features w4
    scores1 = Conv small w5
    size = Shape scores1
    classification = Concat scores0 scores1
    likely = Softmax classification
    best places = TopK likely
    box = Gather corners places`);
  expect(headsOf(detector)).toEqual(['regression', 'classification']);
});

test('what is computed of a selection is no head', () => {
  const twoStages = nodes(`
    features = Conv image w0
    objectness = Conv features w1
    deltas = Conv features w2
    kept = NonMaxSuppression deltas objectness
    regions = RoiAlign features kept
    label = Gemm regions w3`);
  expect(headsOf(twoStages)).toEqual(['objectness', 'deltas']);
});

test('models that select nothing have none', () => {
  expect(headsOf(nodes('logits = Gemm x w'))).toEqual([]);
});
