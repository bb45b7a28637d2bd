/** How long an excitation takes, by the rates of an H200, as the estimates of other kernels that are bound by memory. */

import { dtypeInfo } from '@tensorwright/core';
import { typicalExtent } from '../operands.js';
import type { ExcitationProblem } from './problem.js';

/** Blocks of an image, where there are clusters. */
export const clusterSizes: readonly number[] = [1, 2, 4, 8];

/** What a block reads in a microsecond, and all of them together. */
const blockBytesPerMicrosecond = 70e3;
const bytesPerMicrosecond = 4e6;
const multiprocessors = 132;
const syncMicroseconds = 0.25;
const productMicroseconds = 0.5;

/** Of so many bytes of each image, shared by so many blocks. */
export function readMicroseconds({ dims }: ExcitationProblem, bytes: number, blocks: number): number {
  const images = typicalExtent(dims[0]!);
  const waves = Math.ceil((images * blocks) / multiprocessors);
  return Math.max((waves * bytes) / blocks / blockBytesPerMicrosecond, (images * bytes) / bytesPerMicrosecond);
}

/** Of the kernel but for its launch: it reads so many bytes of each image, and the weights. */
export function exciteMicroseconds(problem: ExcitationProblem, bytes: number, parts: number): number {
  const { channels, hidden, down } = problem;
  const weightBytes = (2 * channels * hidden * dtypeInfo(down.weights.dtype).bits) / 8;
  const syncs = parts > 1 ? 2 * syncMicroseconds : 0;
  return (
    readMicroseconds(problem, bytes, parts) +
    readMicroseconds(problem, weightBytes, parts) +
    syncs +
    productMicroseconds
  );
}
