/**
 * A fusion group: nodes that run as one kernel. Its region holds tensor-level nodes; its inputs are the operands.
 * `kind` is the anchor's: attention, contraction, reduce, window, map, movement. The region of a chain holds groups
 * that one backend runs as one step.
 */

import { type Operator, registerOperator } from '../operator.js';

export const groupOperators: readonly Operator[] = [
  registerOperator({
    name: 'group',
    kind: 'opaque',
    inputs: ['operands…'],
    attributes: { kind: undefined },
    infer: (c) => c.regions[0]!.outputs.map((v) => v.type),
    evaluate: (c) => c.run(c.regions[0]!, c.inputs),
  }),
];
