/**
 * linearAttention: attention as a recurrence over a state [B, Hkv, Dk, Dv]. query [B, T, Hq · Dk], key [B, T, Hkv · Dk],
 * value [B, T, Hkv · Dv], decay [B, T, Hkv or Hkv · Dk] in log space, beta [B, T, Hkv or 1].
 */

import { floorDivDims, mulDims } from '../dim.js';
import { readNumbers, tensorFromNumbers } from '../elements.js';
import { type EvaluateContext, type InferContext, type Operator, registerOperator } from '../operator.js';
import { type Tensor } from '../tensor.js';
import { tensorType } from '../type.js';

const rules = ['linear', 'gated', 'delta', 'gated_delta'];

function inferLinearAttention(c: InferContext): ReturnType<Operator['infer']> {
  const q = c.dims(0);
  const v = c.dims(2);
  const queryHeads = c.attributes['qNumHeads'] as number;
  const keyHeads = c.attributes['kvNumHeads'] as number;
  const rule = c.attributes['updateRule'] as string;
  if (q.length !== 3 || v.length !== 3 || c.dims(1).length !== 3) c.fail('query, key and value must have rank 3');
  if (!rules.includes(rule)) c.fail(`updateRule must be one of ${rules.join(', ')}`);
  if (!(queryHeads > 0 && keyHeads > 0 && queryHeads % keyHeads === 0))
    c.fail('qNumHeads must be a positive multiple of kvNumHeads');
  if (rule.startsWith('gated') !== c.has(4)) c.fail(`updateRule '${rule}' ${c.has(4) ? 'takes no' : 'needs a'} decay`);
  if (rule.endsWith('delta') !== c.has(5)) c.fail(`updateRule '${rule}' ${c.has(5) ? 'takes no' : 'needs a'} beta`);
  const keySize = floorDivDims(q[2]!, queryHeads);
  const valueSize = floorDivDims(v[2]!, keyHeads);
  return [
    tensorType(c.tensor(0).dtype, [q[0]!, q[1]!, mulDims(valueSize, queryHeads)]),
    tensorType(c.has(3) ? c.tensor(3).dtype : c.tensor(0).dtype, [q[0]!, keyHeads, keySize, valueSize]),
  ];
}

function evaluateLinearAttention(c: EvaluateContext): Tensor[] {
  const [batch, steps, width] = c.tensor(0).dims as [number, number, number];
  const queryHeads = c.attributes['qNumHeads'] as number;
  const keyHeads = c.attributes['kvNumHeads'] as number;
  const keySize = width / queryHeads;
  const valueSize = c.tensor(2).dims[2]! / keyHeads;
  const group = queryHeads / keyHeads;
  const given = c.attributes['scale'] as number;
  const scale = given === 0 ? 1 / Math.sqrt(keySize) : given;
  const q = readNumbers(c.tensor(0));
  const k = readNumbers(c.tensor(1));
  const v = readNumbers(c.tensor(2));
  const decay = c.has(4) ? readNumbers(c.tensor(4)) : undefined;
  const decayWidth = c.has(4) ? c.tensor(4).dims[2]! : 0;
  const beta = c.has(5) ? readNumbers(c.tensor(5)) : undefined;
  const betaWidth = c.has(5) ? c.tensor(5).dims[2]! : 0;
  const stateSize = keySize * valueSize;
  const states = c.has(3)
    ? Float64Array.from(readNumbers(c.tensor(3)))
    : new Float64Array(batch * keyHeads * stateSize);
  const out = new Float64Array(batch * steps * queryHeads * valueSize);
  const written = new Float64Array(valueSize);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < keyHeads; h++) {
      const state = states.subarray((b * keyHeads + h) * stateSize, (b * keyHeads + h + 1) * stateSize);
      for (let t = 0; t < steps; t++) {
        const row = b * steps + t;
        const key = (row * keyHeads + h) * keySize;
        const value = (row * keyHeads + h) * valueSize;
        if (decay) {
          for (let d = 0; d < keySize; d++) {
            const gate = Math.exp(
              decay[decayWidth === keyHeads ? row * keyHeads + h : (row * keyHeads + h) * keySize + d]!,
            );
            for (let m = 0; m < valueSize; m++) state[d * valueSize + m] = state[d * valueSize + m]! * gate;
          }
        }
        for (let m = 0; m < valueSize; m++) {
          let u = v[value + m]!;
          if (beta) {
            for (let d = 0; d < keySize; d++) u -= state[d * valueSize + m]! * k[key + d]!;
            u *= beta[betaWidth === 1 ? row : row * keyHeads + h]!;
          }
          written[m] = u;
        }
        for (let d = 0; d < keySize; d++) {
          for (let m = 0; m < valueSize; m++)
            state[d * valueSize + m] = state[d * valueSize + m]! + k[key + d]! * written[m]!;
        }
        for (let g = 0; g < group; g++) {
          const head = h * group + g;
          const query = (row * queryHeads + head) * keySize;
          for (let m = 0; m < valueSize; m++) {
            let sum = 0;
            for (let d = 0; d < keySize; d++) sum += q[query + d]! * state[d * valueSize + m]!;
            out[(row * queryHeads + head) * valueSize + m] = scale * sum;
          }
        }
      }
    }
  }
  const stateType = c.has(3) ? c.tensor(3).dtype : c.tensor(0).dtype;
  return [
    tensorFromNumbers(c.tensor(0).dtype, out, [batch, steps, queryHeads * valueSize]),
    tensorFromNumbers(stateType, states, [batch, keyHeads, keySize, valueSize]),
  ];
}

export const linearAttention: Operator = registerOperator({
  name: 'linearAttention',
  kind: 'opaque',
  inputs: ['query', 'key', 'value', 'pastState?', 'decay?', 'beta?'],
  outputs: ['output', 'presentState'],
  /** scale 0: 1 / √Dk. */
  attributes: { qNumHeads: undefined, kvNumHeads: undefined, scale: 0, updateRule: 'gated_delta', chunkSize: 64 },
  infer: inferLinearAttention,
  evaluate: evaluateLinearAttention,
});
