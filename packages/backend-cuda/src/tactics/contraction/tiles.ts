/** Tiles of the product kernels, and a model of how long they take (after DeepGEMM's: waves counted, time of a wave). */

/** A tile of the tensor-core kernel. */
export interface TensorTile {
  readonly rows: number;
  readonly columns: number;
  /** Bytes of depth of a stage. */
  readonly depthBytes: number;
  readonly warpsDown: number;
  readonly warpsAcross: number;
  readonly stages: number;
  /** Blocks that a multiprocessor should hold: bounds the registers. */
  readonly blocks: number;
}

function tensorTile(
  [rows, columns]: readonly [number, number],
  depthBytes: number,
  [warpsDown, warpsAcross]: readonly [number, number],
  stages: number,
  blocks: number,
): TensorTile {
  return { rows, columns, depthBytes, warpsDown, warpsAcross, stages, blocks };
}

export const tensorTiles: readonly TensorTile[] = [
  tensorTile([256, 128], 64, [4, 2], 4, 1),
  tensorTile([128, 256], 64, [2, 4], 4, 1),
  tensorTile([128, 128], 64, [2, 4], 4, 2),
  tensorTile([128, 128], 64, [2, 2], 4, 2),
  tensorTile([128, 64], 128, [2, 2], 3, 2),
  tensorTile([64, 128], 128, [2, 2], 3, 2),
  tensorTile([64, 64], 128, [2, 2], 4, 3),
  tensorTile([128, 32], 128, [4, 1], 3, 3),
  tensorTile([64, 32], 128, [2, 2], 4, 4),
  tensorTile([32, 64], 128, [2, 2], 4, 4),
  tensorTile([32, 32], 128, [2, 2], 4, 4),
  tensorTile([16, 64], 128, [1, 4], 4, 4),
  tensorTile([16, 32], 128, [1, 2], 4, 4),
];

export function tensorThreads(t: TensorTile): number {
  return t.warpsDown * t.warpsAcross * 32;
}

/** Shared memory of a block; in clusters a whole tile of sums lies there. */
export function tensorTileBytes(t: TensorTile, cluster = false): number {
  const ring = t.stages * (t.rows + t.columns) * t.depthBytes;
  const scratch = t.warpsDown * t.warpsAcross * 16 * (t.columns / t.warpsAcross + 8) * 4;
  return Math.max(ring, scratch, cluster ? t.rows * (t.columns + 8) * 4 : 0);
}

/** A tile of the kernel in ordinary arithmetic. */
export interface SimtTile {
  readonly rows: number;
  readonly columns: number;
  /** Elements of depth of a stage. */
  readonly depth: number;
  readonly threadRows: number;
  readonly threadColumns: number;
}

function simtTile(rows: number, columns: number, depth: number, threadRows: number, threadColumns: number): SimtTile {
  return { rows, columns, depth, threadRows, threadColumns };
}

export const simtTiles: readonly SimtTile[] = [
  simtTile(128, 128, 8, 8, 8),
  simtTile(128, 64, 8, 8, 8),
  simtTile(64, 128, 8, 8, 8),
  simtTile(64, 64, 16, 8, 4),
  simtTile(128, 32, 16, 8, 4),
  simtTile(32, 64, 16, 4, 4),
  simtTile(64, 32, 16, 4, 4),
  simtTile(32, 32, 16, 4, 2),
];

/** For elements of 8 bytes. */
export const wideSimtTiles: readonly SimtTile[] = [simtTile(64, 64, 8, 4, 4), simtTile(32, 32, 8, 2, 2)];

export function simtThreads(t: SimtTile): number {
  return (t.rows / t.threadRows) * (t.columns / t.threadColumns);
}

export function simtTileBytes(t: SimtTile, valueBytes: number): number {
  const pad = 16 / valueBytes;
  return 2 * t.depth * (t.rows + pad + t.columns + pad) * valueBytes;
}

export interface Extents {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

export interface Machine {
  readonly multiprocessors: number;
  /** Shared memory that a multiprocessor's blocks have together. */
  readonly sharedBytes: number;
  /** Whether blocks can be clusters. */
  readonly clusters: boolean;
}

/** What a kernel's inner loop does in a clock on one multiprocessor, and what it cannot be faster than. */
interface Speed {
  /** Multiply-adds a clock with every unit busy, times what such kernels reach. */
  readonly rate: number;
  /** Clocks of a step along the depth, however little there is to compute. */
  readonly latency: number;
}

/** Of mma.sync on compute capability 9.0: three fifths of what wgmma reaches. */
export function tensorSpeed(elementBytes: number): Speed {
  return { rate: (2048 * 0.6 * 2) / elementBytes, latency: 240 };
}

export function simtSpeed(valueBytes: number): Speed {
  return { rate: valueBytes === 8 ? 48 : 100, latency: 300 };
}

const clocksPerMicrosecond = 1700;
const l2BytesPerClock = 48;
const memoryBytesPerMicrosecond = 3.9e6;
/** Start, first loads, epilogue. */
const fixedMicroseconds = 1.9;
const secondLaunchMicroseconds = 1.2;
const clusterMicroseconds = 0.5;

export interface Plan {
  readonly rows: number;
  readonly columns: number;
  /** Elements of a step. */
  readonly depth: number;
  readonly splits: number;
  /** Whether splits are added without leaving the chip. */
  readonly cluster?: boolean;
  readonly threads: number;
  readonly sharedBytes: number;
}

export function estimate(plan: Plan, extents: Extents, elementBytes: number, speed: Speed, machine: Machine): number {
  const { rows, columns, splits } = plan;
  const tiles = Math.ceil(extents.rows / rows) * Math.ceil(extents.columns / columns) * extents.batch;
  const steps = Math.ceil(Math.ceil(extents.depth / plan.depth) / splits);
  const resident = Math.max(
    1,
    Math.min(Math.floor(machine.sharedBytes / (plan.sharedBytes + 1024)), Math.floor(1024 / plan.threads), 4),
  );
  const blocks = tiles * splits;
  const math = (steps * plan.depth * rows * columns) / speed.rate;
  const traffic = (steps * plan.depth * (rows + columns) * elementBytes) / l2BytesPerClock;
  // Blocks that share a multiprocessor hide each other's latency, but not each other's work.
  const wave = (together: number): number => Math.max(steps * speed.latency, together * Math.max(math, traffic));
  const perWave = machine.multiprocessors * resident;
  const full = Math.floor(blocks / perWave);
  const rest = blocks - full * perWave;
  const clocks = full * wave(resident) + (rest > 0 ? wave(Math.ceil(rest / machine.multiprocessors)) : 0);
  const { batch } = extents;
  const elements =
    batch * (extents.rows * extents.depth + extents.columns * extents.depth + extents.rows * extents.columns);
  const memory = (elements * elementBytes) / memoryBytesPerMicrosecond;
  const partial =
    splits > 1 ? (2 * splits * batch * extents.rows * extents.columns * 4) / (2 * memoryBytesPerMicrosecond) : 0;
  return (
    fixedMicroseconds +
    Math.max(clocks / clocksPerMicrosecond, memory) +
    (splits === 1 ? 0 : plan.cluster === true ? clusterMicroseconds : secondLaunchMicroseconds + partial)
  );
}

/** Splits of the depth worth a try: so many that blocks fill the machine, each with at least four steps. */
export function splitChoices(
  rows: number,
  columns: number,
  depth: number,
  extents: Extents,
  machine: Machine,
): number[] {
  const tiles = Math.ceil(extents.rows / rows) * Math.ceil(extents.columns / columns) * extents.batch;
  const steps = Math.ceil(extents.depth / depth);
  return [1, 2, 3, 4, 6, 8, 12, 16].filter(
    (s) => s === 1 || (tiles * s <= 2 * machine.multiprocessors && steps >= 4 * s),
  );
}
