/** A progress bar on a terminal; elsewhere a line at every new phase and every 10 % of it. */

import type { TextStream } from '../session.js';
import { formatMilliseconds } from './format.js';

export interface Progress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly estimateMs?: number | undefined;
}

const barWidth = 24;
/** Milliseconds between redrawings. */
const interval = 80;

export class ProgressBar {
  readonly #stream: TextStream;
  readonly #title: string;
  readonly #now: () => number;
  /** Phases that have a line. */
  readonly #told = new Set<string>();
  #phase: string | undefined;
  #tenths = 0;
  #drawnAt = -Infinity;
  #drawn = false;

  constructor(stream: TextStream, title: string, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#title = title;
    this.#now = now;
  }

  update(progress: Progress): void {
    if (this.#stream.isTTY === true) this.#draw(progress);
    else this.#print(progress);
  }

  /** Removes the bar, so that a line can be written in its place; the next update draws it again. */
  clear(): void {
    if (!this.#drawn) return;
    this.#stream.write('\r\x1b[K');
    this.#drawn = false;
    this.#drawnAt = -Infinity;
  }

  #draw({ phase, done, total, estimateMs }: Progress): void {
    const now = this.#now();
    if (phase === this.#phase && done < total && now - this.#drawnAt < interval) return;
    this.#phase = phase;
    this.#drawnAt = now;
    this.#drawn = true;
    const part = total > 0 ? Math.min(1, done / total) : 0;
    const filled = Math.round(part * barWidth);
    const text = `${this.#title} ${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)} ${phase}${counted(done, total)}${left(estimateMs)}`;
    this.#stream.write(`\r\x1b[K${text.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1))}`);
  }

  #print({ phase, done, total, estimateMs }: Progress): void {
    const tenths = total > 1 ? Math.floor((10 * done) / total) : 0;
    if (phase === this.#phase && tenths <= this.#tenths) return;
    const isCounted = total > 1;
    // Some phases come by turns, several times.
    if (!isCounted && this.#told.has(phase)) return;
    this.#told.add(phase);
    this.#phase = phase;
    this.#tenths = tenths;
    this.#stream.write(`${this.#title}: ${phase}${counted(done, total)}${left(estimateMs)}\n`);
  }
}

/** A phase of one piece of work has nothing to count. */
function counted(done: number, total: number): string {
  return total > 1 ? ` ${done}/${total}` : '';
}

/** Less than a second is over before it is read. */
function left(estimateMs: number | undefined): string {
  return estimateMs === undefined || estimateMs < 1000
    ? ''
    : `, ${formatMilliseconds(Math.round(estimateMs / 1000) * 1000)} left`;
}
