/** What a command says besides its results: notes, warnings, log records and progress, all on stderr. */

import type { LogRecord } from '@tensorwright/core';
import type { Session } from '../session.js';
import { ProgressBar, type Progress } from './progress-bar.js';
import { type Painter, paint } from './style.js';

export interface ReporterOptions {
  readonly quiet?: boolean;
  /** 1: informative log records; 2: all of them. */
  readonly verbose?: number;
}

export class Reporter {
  readonly #session: Session;
  readonly #quiet: boolean;
  readonly #verbose: number;
  readonly #paint: Painter;
  #bar: ProgressBar | undefined;

  constructor(session: Session, options: ReporterOptions) {
    this.#session = session;
    this.#quiet = options.quiet === true;
    this.#verbose = options.verbose ?? 0;
    this.#paint = paint(session.stderr, session.env);
  }

  note(text: string): void {
    if (!this.#quiet) this.#line(text);
  }

  warn(text: string): void {
    if (!this.#quiet) this.#line(`${this.#paint('yellow', 'warning:')} ${text}`);
  }

  /** For the `logger` options of the other packages. */
  readonly logger = (record: LogRecord): void => {
    const { level, scope, message, data } = record;
    if (level === 'warn') {
      this.warn(message);
      return;
    }
    const needed = { error: 0, info: 1, debug: 2 }[level];
    if (this.#quiet || this.#verbose < needed) return;
    const details = data === undefined ? '' : ` ${this.#paint('dim', JSON.stringify(data))}`;
    this.#line(`${this.#paint('dim', `[${scope}]`)} ${message}${details}`);
  };

  /** Shows the progress of `work`, which reports it through the function it is given. */
  async progress<T>(title: string, work: (update: (progress: Progress) => void) => Promise<T>): Promise<T> {
    if (this.#quiet) return work(() => undefined);
    const bar = new ProgressBar(this.#session.stderr, title);
    this.#bar = bar;
    try {
      return await work((progress) => bar.update(progress));
    } finally {
      bar.clear();
      this.#bar = undefined;
    }
  }

  #line(text: string): void {
    this.#bar?.clear();
    this.#session.stderr.write(`${text}\n`);
  }
}
