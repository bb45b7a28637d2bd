/** The weights of a block as its kernel copies them: ResidualTile of native/cuda/kernels/inverted_residual.cuh. */

import { memoByKind, type Node, readNumbers, Tensor } from '@tensorwright/core';
import type { Layer, ResidualProblem } from './problem.js';
import { layoutOf, type ResidualShape } from './shape.js';

const packedOf = memoByKind<Node, Tensor>();

/** Made once for each way to lay them out. */
export function packWeights(chain: Node, problem: ResidualProblem, shape: ResidualShape): Tensor {
  const { weightBytes, projectAt, tapsAt, biasesAt } = layoutOf(problem, shape);
  const key = [shape.chunk, weightBytes, projectAt, tapsAt, biasesAt].join(' ');
  return packedOf(chain, key, () => pack(problem, shape));
}

function pack(problem: ResidualProblem, shape: ResidualShape): Tensor {
  const { expand, filter, project, inputs, expanded, outputs } = problem;
  const { chunk } = shape;
  const layout = layoutOf(problem, shape);
  const bytes = new Uint8Array(layout.chunks * layout.weightBytes);
  const floats = new DataView(bytes.buffer);
  const taps = readNumbers(filter.weights);
  const count = taps.length / expanded;
  const biases = [expand, filter].map((layer) => biasOf(layer, expanded));
  for (let c = 0; c < expanded; c++) {
    const begin = Math.floor(c / chunk) * layout.weightBytes;
    const within = c % chunk;
    if (expand) {
      const row = expand.weights.bytes.subarray(c * inputs * 2, (c + 1) * inputs * 2);
      bytes.set(row, begin + within * layout.depthPitch);
    }
    for (let o = 0; project && o < outputs; o++) {
      const at = (o * expanded + c) * 2;
      const to = begin + layout.projectAt + o * layout.chunkPitch + within * 2;
      bytes.set(project.weights.bytes.subarray(at, at + 2), to);
    }
    biases.forEach((bias, i) => {
      floats.setFloat32(begin + layout.biasesAt + (i * chunk + within) * 4, bias[c]!, true);
    });
    for (let t = 0; t < count; t++)
      floats.setFloat32(begin + layout.tapsAt + (t * chunk + within) * 4, taps[c * count + t]!, true);
  }
  return new Tensor('uint8', bytes, [bytes.length]);
}

function biasOf(layer: Layer | undefined, channels: number): ArrayLike<number> {
  return layer?.bias ? readNumbers(layer.bias) : new Float64Array(channels);
}
