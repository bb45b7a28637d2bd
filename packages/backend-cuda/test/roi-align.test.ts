/** Regions cut into many bins: as many as a block keeps track of, and more. */

import { describe, it } from 'vitest';
import { compare, hasDevice } from './compare.js';

describe.skipIf(!hasDevice)('bins of regions', () => {
  it.each([
    ['roiAlign', 1, 4100, 3],
    ['channelsRoiAlign', 2, 1500, 16],
    ['channelsRoiAlign', 300, 2, 5],
  ])('%s: %s × %s of %s channels', (tactic, outputHeight, outputWidth, channels) =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [1, channels, 5, 6] },
        { dtype: 'float32', dims: [2, 4], fill: (i) => [0.5, 0.25, 5, 4, 1, 1, 2, 3][i]! },
        { dtype: 'int64', dims: [2], fill: () => 0 },
      ],
      graph: (b, ...inputs) =>
        b.op('roiAlign', inputs, {
          ...{ outputHeight, outputWidth, samplingRatio: 2, spatialScale: 1 },
          ...{ mode: 'avg', coordinateTransformationMode: 'half_pixel' },
        }),
      pick: (candidate) => candidate.tactic === `cuda.${tactic}`,
      steps: [`cuda.${tactic}`],
      tolerance: 1e-5,
    }),
  );

  // Whose counters would not fit into shared memory.
  it('has a thread to each of very many', () =>
    compare({
      inputs: [
        { dtype: 'float32', dims: [1, 3, 5, 6] },
        { dtype: 'float32', dims: [1, 4], fill: (i) => [0, 0, 4, 4][i]! },
        { dtype: 'int64', dims: [1], fill: () => 0 },
      ],
      graph: (b, ...inputs) =>
        b.op('roiAlign', inputs, {
          ...{ outputHeight: 2049, outputWidth: 1, samplingRatio: 1, spatialScale: 1 },
          ...{ mode: 'max', coordinateTransformationMode: 'half_pixel' },
        }),
      pick: (candidate) => candidate.tactic === 'cuda.channelsRoiAlign',
      steps: ['cuda.roiAlign'],
      tolerance: 1e-5,
    }));
});
