/** A layer or RMS normalization and the product that reads it, in one step on Hopper's warpgroup instructions. */

import {
  type Candidate,
  type EmitContext,
  type EmittedStep,
  type GroupView,
  type Node,
  TensorwrightError,
} from '@tensorwright/core';
import type { CandidateOutline, Tactic } from '../tactic.js';
import { refuseContraction } from './contraction/group.js';
import { isHopper } from './contraction/machine.js';
import { emitWarpgroups } from './hopper/emit.js';
import { type NormalizedRows, normalizedRowsOf } from './hopper/normalization.js';
import { refuseWarpgroups, warpgroupCandidates } from './hopper.js';
import type { WarpgroupTile } from './hopper/tiles.js';
import { taken } from './taken.js';

/** As many as anybody may want to time. */
const mostCandidates = 24;

export const normalizedProduct: Tactic = {
  name: 'normalizedProduct',
  refuses(group: GroupView): string | undefined {
    if (group.parts.length !== 2) return 'no normalized product';
    if (!isHopper()) return 'not a device with warpgroup instructions';
    const rows = normalizedRowsOf(group);
    if (typeof rows === 'string') return rows;
    const reason = refuseContraction(rows.product) ?? refuseWarpgroups(rows.product);
    return reason ?? (tilesOf(group, rows).length === 0 ? 'rows too short for a tile' : undefined);
  },
  candidates(group: GroupView): readonly CandidateOutline[] {
    const rows = taken(group, normalizedRowsOf(group));
    const x = rows.product.anchorInputs.find((_, i) => group.parts[1]!.anchorInputs[i] === -1)!;
    return tilesOf(group, rows)
      .toSorted((a, b) => a.estimate - b.estimate)
      .slice(0, mostCandidates)
      .map((c) => ({ ...c, inputs: c.inputs.map((access, i) => (i === x ? 'rows' : access)) }));
  },
  emit(group: GroupView, candidate: Candidate, context: EmitContext): Promise<EmittedStep> {
    const rows = taken(group, normalizedRowsOf(group));
    const step = emitWarpgroups(rows.product, candidate.parameters as unknown as WarpgroupTile, context, rows);
    if (step) return step;
    throw new TensorwrightError(
      'ERR_INTERNAL',
      'the rows of a normalized product lie as no tensor map describes them',
      {
        node: group.node.id,
      },
    );
  },
};

/** Sums of more columns leave no registers for those of the rows: of a block, and where several share a multiprocessor. */
const mostColumns = 192;
const mostSharedColumns = 96;

type Tiles = ReturnType<typeof warpgroupCandidates>;

const tiles = new WeakMap<Node, Tiles>();

/** Those in which a block has whole rows, and their sums in registers. */
function tilesOf({ node }: GroupView, { product }: NormalizedRows): Tiles {
  let found = tiles.get(node);
  if (!found) {
    found = warpgroupCandidates(product).filter(({ parameters }) => {
      const { splits, permuted, span, columns, blocks } = parameters as unknown as WarpgroupTile;
      const most = blocks > 1 ? mostSharedColumns : mostColumns;
      return splits === 1 && permuted === 1 && span === 128 && columns <= most;
    });
    tiles.set(node, found);
  }
  return found;
}
