/** The kernels of EfficientNMS_TRT and EfficientNMS_ONNX_TRT. */

import { candidates } from './efficient-nms-candidates-kernel.js';
import { suppression } from './efficient-nms-suppression-kernel.js';
import { vectorAccess } from './vector-access.js';

/** Scores that each image may suppress boxes with: the best so many, as in TensorRT. A power of two. */
export const mostCandidates = 4096;
/** Scores that are told apart exactly, where more than the best pass: those that fall into the last histogram bin. */
export const edgeCapacity = 16384;
/** Bytes of an image's counters: `Tally`. */
export const tallyBytes: number = (4 + 2048) * 4;

/**
 * 1. `reset_tallies` clears the counters.
 * 2. `filter_scores` reads all scores once: those that pass are counted, in all and by histogram bin, and the first that
 *    fit are listed as keys (score, then index).
 * 3. `collect_best` has something to do only where more pass than may: it lists those of the better bins, and apart from
 *    them those of the bin that the last one is in.
 * 4. `suppress`, a block an image, selects among these, sorts, and goes through the boxes in chunks. A box of a chunk is
 *    dropped if it overlaps one that is kept from the chunks before; for the rest a matrix of bits says which of the
 *    better ones each overlaps, and rounds decide on all that no undecided one overlaps any more, which is what one after
 *    the other gives.
 */
export const source: string = `${vectorAccess}${candidates}${suppression}`;
/** Files of the kernel library that it builds on. */
export const uses: readonly string[] = ['sort', 'selection'];
