/** topK of long rows: the first are selected and then sorted, by a block a row or by many. */

import { addDims, ceilDivDims, dimBounds, mulDims, productOf } from '@tensorwright/core';
import type { Launch } from '../../launch/launch-step.js';
import { kernel, type Printed, type TopKProblem } from './top-k-problem.js';

/** Elements that a block of many to a row looks at. */
export const tile = 4096;
/** As top_k.cuh has them: elements of the edge, bytes of RowCounters. */
const edgeLimit = 16384;
const counterBytes = (4 + 2 * 2048) * 4;

const rowOfBlock = ({ number }: TopKProblem): string => `${number}(blockIdx.x)`;
/** Of blocks (tiles, rows): rows that have many blocks each are few. */
const rowOfTile = ({ number }: TopKProblem): string => `${number}(blockIdx.y)`;

export function block(problem: TopKProblem): Printed {
  const { n } = problem;
  const rows = productOf(problem.rows);
  const threads = dimBounds(n).max <= 8192 ? 256 : 1024;
  const slots = problem.slots();
  const body = `${problem.row(rowOfBlock(problem), threads, problem.width())}
  ${problem.sortedKeys(problem.list(0, slots))};
  select_best<${String(threads)}>(keys, elements, best);`;
  return {
    text: kernel('select_rows', threads, body),
    launches: [{ function: 'select_rows', grid: [rows, 1, 1], block: [threads, 1, 1] }],
    workspaceBytes: problem.sortedBytes(),
  };
}

/** The best of each tile, then those of them. */
export function tiles(problem: TopKProblem): Printed {
  const { args, key, keyBytes, n, k } = problem;
  const rows = productOf(problem.rows);
  const [threads, last] = [256, 1024];
  const tilesOfRow = ceilDivDims(n, tile);
  const listed = mulDims(tilesOfRow, k);
  const sorted = mulDims(rows, mulDims(listed, keyBytes));
  const list = problem.list(0, listed);
  const text = [
    kernel(
      'list_tiles',
      threads,
      `${problem.row(rowOfTile(problem), threads, problem.width())}
  ${key}* const list = ${list} + i64(blockIdx.x) * ${args.dim(k)};
  list_best<${String(tile)}>(list, elements, blockIdx.x * ${String(tile)}, best.k);`,
    ),
    kernel(
      'merge_tiles',
      last,
      `${problem.row(rowOfBlock(problem), last, 1)}
  ${problem.sortedKeys(problem.list(sorted, problem.slots()))};
  merge_best<${String(last)}>(${list}, u32(${args.dim(listed)}), keys, elements, best);`,
    ),
  ].join('');
  return {
    text,
    launches: [
      { function: 'list_tiles', grid: [tilesOfRow, rows, 1], block: [threads, 1, 1] },
      { function: 'merge_tiles', grid: [rows, 1, 1], block: [last, 1, 1] },
    ],
    workspaceBytes: addDims(sorted, problem.sortedBytes()),
  };
}

/** Digits counted by all, the edge between those that are wanted and the others sorted out by one block a row. */
export function grid(problem: TopKProblem): Printed {
  const { args, key, keyBytes, n } = problem;
  const rows = productOf(problem.rows);
  const slots = problem.slots();
  const edgeBytes = mulDims(rows, edgeLimit * keyBytes);
  const allCounters = mulDims(rows, counterBytes);
  const words = args.workspace(edgeBytes, 'u32');
  const counters = `reinterpret_cast<RowCounters*>(${words})[row]`;
  const chosen = problem.list(addDims(edgeBytes, allCounters), slots);
  const edges = problem.list(0, edgeLimit);
  const width = problem.width();
  const [threads, last] = [256, 1024];
  const part = (name: string, call: string): string =>
    kernel(
      name,
      threads,
      `${problem.row(rowOfTile(problem), threads, width)}
  const u32 begin = blockIdx.x * ${String(tile)}, end = min(begin + ${String(tile)}, elements.size);
  [[maybe_unused]] const u32 wanted = best.found(elements.size);
  RowCounters& counters = ${counters};
  ${call}`,
    );
  const text = [
    kernel(
      'reset_counters',
      last,
      `  const i64 i = i64(blockIdx.x) * ${String(last)} + threadIdx.x;
  if (i < ${args.dim(ceilDivDims(allCounters, 4))}) ${words}[i] = 0;`,
    ),
    part('count_first', 'count_leading(counters, elements, begin, end);'),
    part('count_second', 'count_following(counters, elements, wanted, begin, end);'),
    part('collect', `collect_best(counters, ${chosen}, ${edges}, elements, wanted, begin, end);`),
    kernel(
      'finish',
      last,
      `${problem.row(rowOfBlock(problem), last, width)}
  ${key}* const chosen = ${chosen};
  ${problem.sortedKeys('chosen')};
  finish_best<${String(last)}>(${counters}, chosen, ${edges}, keys, elements, best);`,
    ),
  ].join('');
  const parts: Launch['grid'] = [ceilDivDims(n, tile), rows, 1];
  return {
    text,
    launches: [
      { function: 'reset_counters', grid: [ceilDivDims(allCounters, 4 * last), 1, 1], block: [last, 1, 1] },
      { function: 'count_first', grid: parts, block: [threads, 1, 1] },
      { function: 'count_second', grid: parts, block: [threads, 1, 1] },
      { function: 'collect', grid: parts, block: [threads, 1, 1] },
      { function: 'finish', grid: [rows, 1, 1], block: [last, 1, 1] },
    ],
    workspaceBytes: addDims(addDims(edgeBytes, allCounters), mulDims(rows, mulDims(slots, keyBytes))),
  };
}
