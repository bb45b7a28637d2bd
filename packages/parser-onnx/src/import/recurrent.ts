/** LSTM, GRU, RNN. The canonical layers have the time first: layout 1 is transposed around them. */

import type { Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';
import { transpose } from './shorthand.js';

/** The layer with inputs x, w, r, bias, lengths, initial h, initial c, peephole. */
export function layer(
  c: ImportContext,
  op: string,
  inputs: readonly (Value | undefined)[],
  attributes: Record<string, number>,
): readonly Value[] {
  const batchFirst = c.int('layout', 0) === 1;
  const swap = (v: Value | undefined): Value | undefined => v && (batchFirst ? transpose(c, v, [1, 0, 2]) : v);
  const hidden = c.dimsOf(inputs[2]!)[2];
  const hiddenSize = c.int('hidden_size', typeof hidden === 'number' ? hidden : 0);
  if (hiddenSize === 0) c.fail('hidden_size is missing');
  const [x, w, r, bias, lengths, initialH, initialC, peephole] = inputs;
  const activations = c.strings('activations');
  const outputs = c.node(
    op,
    [swap(x), w, r, bias, lengths, swap(initialH), swap(initialC), peephole].slice(0, inputs.length),
    {
      hiddenSize,
      direction: c.string('direction', 'forward'),
      ...(activations && activations.length > 0 && { activations }),
      activationAlpha: c.floats('activation_alpha'),
      activationBeta: c.floats('activation_beta'),
      ...(c.hasAttribute('clip') && { clip: c.float('clip', 0) }),
      ...attributes,
    },
  );
  if (!batchFirst) return outputs;
  const [y, ...states] = outputs as [Value, ...Value[]];
  return [transpose(c, y, [2, 0, 1, 3]), ...states.map((s) => transpose(c, s, [1, 0, 2]))];
}

function inputs(c: ImportContext, count: number): (Value | undefined)[] {
  return Array.from({ length: count }, (_, i) => (i < 3 ? c.input(i) : c.optional(i)));
}

export const recurrentImporters: ImporterTable = {
  LSTM: (c) => layer(c, 'lstm', inputs(c, 8), { inputForget: c.int('input_forget', 0) }),
  GRU: (c) => layer(c, 'gru', inputs(c, 6), { linearBeforeReset: c.int('linear_before_reset', 0) }),
  RNN: (c) => layer(c, 'rnn', inputs(c, 6), {}),
};
