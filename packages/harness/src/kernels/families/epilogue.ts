/** What follows a kernel's result in networks, at random. */

import type { NetworkDefinition, NetworkTensor } from '@tensorwright/core';
import type { Operand } from '../../plugins/case.js';
import type { Random } from '../../plugins/random.js';
import { batched, constant } from '../problem.js';

export interface Epilogue {
  readonly name: string;
  readonly operands: Readonly<Record<string, Operand>>;
  readonly follow: (
    network: NetworkDefinition,
    y: NetworkTensor,
    operands: Readonly<Record<string, NetworkTensor>>,
  ) => NetworkTensor;
}

/**
 * @param dims of the result
 * @param channels extents of a number for each channel, which broadcast to them
 */
export function epilogue(random: Random, dims: readonly number[], channels: readonly number[]): Epilogue {
  const bias = constant(random.floats(channels));
  const residual = batched(random.floats(dims));
  const all: readonly Epilogue[] = [
    { name: 'none', operands: {}, follow: (_, y) => y },
    {
      name: 'bias, relu',
      operands: { bias },
      follow: (n, y, o) => n.addActivation(n.addElementWise(y, o['bias']!, 'sum'), 'relu'),
    },
    {
      name: 'bias, gelu',
      operands: { bias },
      follow: (n, y, o) => n.addActivation(n.addElementWise(y, o['bias']!, 'sum'), 'geluErf'),
    },
    {
      name: 'silu',
      operands: {},
      follow: (n, y) => n.addElementWise(y, n.addActivation(y, 'sigmoid'), 'prod'),
    },
    {
      name: 'bias, residual, relu',
      operands: { bias, residual },
      follow: (n, y, o) =>
        n.addActivation(n.addElementWise(n.addElementWise(y, o['bias']!, 'sum'), o['residual']!, 'sum'), 'relu'),
    },
    {
      name: 'residual, scale',
      operands: { bias, residual },
      follow: (n, y, o) => n.addElementWise(n.addElementWise(y, o['residual']!, 'sum'), o['bias']!, 'prod'),
    },
  ];
  return all[random.integer(all.length)]!;
}
