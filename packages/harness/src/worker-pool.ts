/** Jobs in child processes, so that a crash or a hang costs one of them only. */

import { type ChildProcess, fork } from 'node:child_process';
import process from 'node:process';

export interface WorkerPool<Job, Result> {
  /** What the children run: it calls `serve`. */
  readonly program: string;
  readonly workers: number;
  readonly timeoutMs: number;
  /** What a job comes to that threw, or whose process died or hung. */
  readonly failed: (reason: string) => Result;
  readonly done: (job: Job, result: Result) => void;
}

const workerFlag = '--worker';

export const isWorker = (): boolean => process.argv[2] === workerFlag;

/** What a child answers. */
type Answer<Result> = { readonly result: Result } | { readonly thrown: string };

/** In a child: answers every job with its result. */
export function serve<Job, Result>(run: (job: Job) => Promise<Result>): void {
  process.on('message', (job: Job) => {
    void run(job)
      .then(
        (result): Answer<Result> => ({ result }),
        (error: unknown): Answer<Result> => ({ thrown: error instanceof Error ? error.message : String(error) }),
      )
      .then((answer) => process.send!(answer));
  });
}

export async function runInWorkers<Job extends object, Result>(
  jobs: readonly Job[],
  pool: WorkerPool<Job, Result>,
): Promise<void> {
  const queue = [...jobs];
  await Promise.all(Array.from({ length: pool.workers }, () => work(queue, pool)));
}

/** Works through the queue with one child, replaced when it dies or hangs. */
async function work<Job extends object, Result>(queue: Job[], pool: WorkerPool<Job, Result>): Promise<void> {
  let child: ChildProcess | undefined;
  const start = (): ChildProcess =>
    fork(pool.program, [workerFlag], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], serialization: 'advanced' });
  for (;;) {
    const job = queue.shift();
    if (!job) break;
    child ??= start();
    const running = child;
    const result = await new Promise<Result>((resolve) => {
      const finish = (r: Result, keep: boolean): void => {
        clearTimeout(timer);
        running.removeAllListeners();
        if (!keep) {
          running.kill('SIGKILL');
          child = undefined;
        }
        resolve(r);
      };
      const timer = setTimeout(() => {
        finish(pool.failed(`no result after ${String(pool.timeoutMs)} ms`), false);
      }, pool.timeoutMs);
      running.once('message', (r) => {
        const answer = r as Answer<Result>;
        finish('thrown' in answer ? pool.failed(answer.thrown) : answer.result, true);
      });
      running.once('exit', (code, signal) => {
        finish(pool.failed(`the process died: ${signal ?? `exit code ${String(code)}`}`), false);
      });
      running.send(job);
    });
    pool.done(job, result);
  }
  // Whatever the system makes of gentler signals: a finished worker must not outlive the run.
  child?.kill('SIGKILL');
}
