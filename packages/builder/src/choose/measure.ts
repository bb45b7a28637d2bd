/**
 * Times the candidates of a node, each alone in a program of its own, and checks the one that wins. A candidate whose
 * kernel fails, hangs or computes something else is dropped for good.
 */

import {
  type Backend,
  type Candidate,
  canonicalJson,
  type DroppedTactic,
  type Graph,
  type Measurable,
  type Node,
  TensorwrightError,
  type Trial,
  type Trials,
} from '@tensorwright/core';
import type { PassContext } from '../pass.js';
import { closenessOf } from './agree.js';
import type { Assignments } from './assignment.js';
import { best, type Measured, nanosecondsAmongOthers } from './best.js';
import { candidateAlone, graphAlone } from './candidate-alone.js';
import { EqualWorks } from './equal-works.js';
import { isChain, problemOf, type StandAlone, standAlone } from './problem.js';
import { candidateKey, type Fault, type Findings, type Problem, TimingCache } from './timing-cache.js';
import { type Outputs, verify, type Witness } from './verify.js';
import { onItsBackend, onProcessor, otherFamily, outputsOf, takeApart } from './witnesses.js';

const defaultTimeoutMs = 30_000;

/** A node's problem, as the machine is asked to solve it. */
interface Question {
  readonly node: Node;
  readonly alone: StandAlone;
  readonly backend: Backend;
  readonly device: string;
  readonly problem: Problem;
  readonly findings: Readonly<Findings>;
}

/** Times tactics, one at a time; what they need to be run is made for several at once. */
export class TacticTimer {
  readonly #context: PassContext;
  readonly #coldConstants: boolean;
  readonly #cache: TimingCache;
  readonly #mayMeasure: () => boolean;
  readonly #trials = new Map<Backend, Trials>();
  readonly #dropped = new Map<string, DroppedTactic>();
  /** The end of the measurement in progress: the machine is measured by one at a time. */
  #idle: Promise<unknown> = Promise.resolve();
  /** Problems in progress: of equal nodes, each waits for the times of the one before. */
  readonly #running = new Map<string, Promise<unknown>>();

  /** @param coldConstants whether runs find constants out of the device's cache. Default: no */
  constructor(context: PassContext, coldConstants = false) {
    this.#context = context;
    this.#coldConstants = coldConstants;
    this.#cache = new TimingCache(context.options.timingCache);
    const started = performance.now();
    const budget = context.options.timeBudgetMs ?? Infinity;
    this.#mayMeasure = () => performance.now() - started < budget;
  }

  /** Candidates that must not be used, in the order of their nodes and names. */
  get dropped(): readonly DroppedTactic[] {
    const byKey = [...this.#dropped].sort(([a], [b]) => (a < b ? -1 : 1));
    return byKey.map(([, dropped]) => dropped);
  }

  /** Keeps what was measured for later builds. */
  async flush(): Promise<void> {
    const failure = await this.#cache.flush();
    if (failure)
      this.#context.log({ level: 'warn', message: `the timing cache cannot be written: ${failure.message}` });
  }

  /** Ends what tried the candidates. */
  close(): void {
    for (const trials of this.#trials.values()) trials.close();
    this.#trials.clear();
  }

  /**
   * The fastest candidate by the cache or by measurement; undefined when nothing can be timed.
   * @param below nanoseconds: what takes as long or longer is not verified
   */
  async fastest(
    node: Node,
    backend: Backend,
    candidates: readonly Candidate[],
    below: number = Infinity,
  ): Promise<Measured | undefined> {
    const device = backend.device()?.id;
    if ((!backend.measure && !backend.trials) || device === undefined) return undefined;
    const alone = standAlone(node, this.#context.builder, this.#context.optimum);
    if (!alone) return undefined;
    // Of what the processor runs, times are of runs one after the other.
    const problem = problemOf(alone, this.#coldConstants && backend.trials !== undefined);
    const key = canonicalJson(problem);
    const finding = this.#cache.findings(device, problem);
    const before = this.#running.get(key);
    const choose = async (): Promise<Measured | undefined> => {
      await before;
      const question = { node, alone, backend, device, problem, findings: await finding };
      // Where constants come from memory, the time itself shows who fetches them late.
      const listed = problem['coldConstants'] === true ? candidates.map(({ handover: _, ...c }) => c) : candidates;
      return this.#choose(question, listed, below);
    };
    const work = choose();
    this.#running.set(key, work);
    return work;
  }

  async #choose(question: Question, candidates: readonly Candidate[], below: number): Promise<Measured | undefined> {
    await this.#measureMissing(question, candidates);
    const { backend, findings } = question;
    for (;;) {
      const usable = candidates.filter((c) => !findings.faults[candidateKey(c)]);
      this.#report(question, candidates);
      const [first] = usable;
      if (!first) return { candidate: candidates[0]!, nanoseconds: Infinity };
      const found = best(usable, (c) => findings.times[candidateKey(c)]);
      if (!found) return usable.length < candidates.length ? { candidate: first } : undefined;
      const wanted = backend.trials !== undefined && this.#context.options.verifyTactics !== false;
      const known = findings.verified.has(candidateKey(found.candidate));
      // Without another candidate to take instead, or members to run, there is nothing to decide.
      const decides = nanosecondsAmongOthers(found) < below && (usable.length > 1 || isChain(question.node));
      if (!wanted || known || !decides || !this.#mayMeasure()) return found;
      if (await this.#verified(question, found.candidate, usable)) return found;
    }
  }

  async #measureMissing(question: Question, candidates: readonly Candidate[]): Promise<void> {
    const { alone, backend, findings } = question;
    const missing = candidates.filter((c) => {
      const key = candidateKey(c);
      return findings.times[key] === undefined && !findings.faults[key];
    });
    const make = (candidate: Candidate): Promise<Measurable> => {
      const work = candidateAlone(alone, backend, candidate, this.#context);
      // An aborted build awaits only the first of them.
      work.catch(() => undefined);
      return work;
    };
    // A device's kernels compile while others are timed; on the processor both would disturb each other.
    const ahead = backend.memory !== undefined && this.#mayMeasure() ? missing.map(make) : undefined;
    const measured = new EqualWorks<Trial>();
    const measure = (work: Measurable): Promise<Trial> => this.#measure(question, work);
    for (const [i, candidate] of missing.entries()) {
      if (!this.#mayMeasure()) return;
      const trial = await this.#try(question, candidate, async () => {
        if (!ahead) return measure(await make(candidate));
        const work = await ahead[i]!;
        return measured.once(work, () => measure(work));
      });
      const times = trial?.nanoseconds ?? [];
      const median = times[Math.floor(times.length / 2)];
      if (median !== undefined)
        this.#cache.record(question.device, question.problem, (f) => (f.times[candidateKey(candidate)] = median));
      await this.#context.breathe();
    }
  }

  async #measure({ backend, problem }: Question, work: Measurable): Promise<Trial> {
    const { signal } = this.#context.options;
    const { coldConstants } = problem;
    return this.#inTurn(async () =>
      backend.trials
        ? this.#trialsOf(backend).try(work, {
            timed: true,
            coldConstants: coldConstants === true,
            outputs: false,
            signal,
          })
        : { nanoseconds: await backend.measure!(work, signal), outputs: [] },
    );
  }

  async #verified(question: Question, candidate: Candidate, usable: readonly Candidate[]): Promise<boolean> {
    const { node, alone, backend, device, problem, findings } = question;
    const context = this.#context;
    const { signal, precision } = context.options;
    const compute = async (make: () => Promise<Measurable>): Promise<Trial> => {
      const work = await make();
      return this.#inTurn(() => this.#trialsOf(backend).try(work, { timed: false, outputs: true, signal }));
    };
    const tactic = (c: Candidate): Witness & { readonly candidate: Candidate } => ({
      name: c.tactic,
      candidate: c,
      compute: async () =>
        (await this.#try(question, c, () => compute(() => candidateAlone(alone, backend, c, context))))?.outputs,
    });
    const apart = takeApart(alone, context);
    const together = (name: string, assign: () => Promise<Assignments | undefined>): Witness => ({
      name,
      compute: async () => {
        const assignments = await assign();
        const run = async (graph: Graph): Promise<Outputs | undefined> => {
          const trial = await this.#attempt(
            () => compute(() => graphAlone(graph, assignments!, context)),
            ({ reason }) => {
              context.log({ level: 'warn', message: `${name} cannot check ${candidate.tactic}: ${reason}` });
            },
          );
          return trial?.outputs;
        };
        return assignments && outputsOf(apart, run);
      },
    });
    const time = (c: Candidate): number => findings.times[candidateKey(c)] ?? Infinity;
    const rivals = usable.filter((c) => c !== candidate && time(c) < Infinity).sort((a, b) => time(a) - time(b));
    const other = otherFamily(candidate, rivals);
    const verdict = await verify(
      tactic(candidate),
      isChain(alone.node)
        ? together('its members', () => onItsBackend(node, apart, backend, context, this))
        : other && tactic(other),
      together('the processor', () => onProcessor(apart)),
      closenessOf(alone.node, precision?.tf32 === true),
    );
    if (verdict.note !== undefined) this.#context.log({ level: 'warn', message: verdict.note });
    for (const [c, fault] of verdict.faults) this.#drop(question, c, fault);
    if (verdict.accepted) this.#cache.record(device, problem, (f) => f.verified.add(candidateKey(candidate)));
    // One that does not run a second time has been dropped, or is refused now: it is not asked again either way.
    else if (!findings.faults[candidateKey(candidate)])
      this.#drop(question, candidate, { code: 'ERR_DEVICE', reason: 'it ran only once' });
    return verdict.accepted;
  }

  /** undefined where the candidate refuses the problem, or has failed and is dropped. */
  async #try(question: Question, candidate: Candidate, work: () => Promise<Trial>): Promise<Trial | undefined> {
    return this.#attempt(work, (fault) => {
      if (fault.code === 'ERR_DEVICE' && question.backend.trials) this.#drop(question, candidate, fault);
      else this.#warn(candidate, 'cannot run', fault.reason);
    });
  }

  async #attempt(work: () => Promise<Trial>, failed: (fault: Fault) => void): Promise<Trial | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#context.options.signal?.throwIfAborted();
      if (!TensorwrightError.is(error) && !('code' in (error as object))) throw error;
      const { code, message } = error as { code: string; message: string };
      failed({ code, reason: message });
      return undefined;
    }
  }

  #drop(question: Question, candidate: Candidate, fault: Fault): void {
    this.#cache.record(question.device, question.problem, (f) => {
      f.faults[candidateKey(candidate)] = fault;
      f.verified.delete(candidateKey(candidate));
    });
    this.#warn(candidate, 'is dropped', fault.reason);
  }

  #warn({ tactic, parameters }: Candidate, what: string, reason: string): void {
    this.#context.log({ level: 'warn', message: `tactic ${tactic} ${canonicalJson(parameters)} ${what}: ${reason}` });
  }

  /** What is known to be wrong goes into the report, whichever build has found it. */
  #report({ node, backend, findings }: Question, candidates: readonly Candidate[]): void {
    for (const candidate of candidates) {
      const fault = findings.faults[candidateKey(candidate)];
      if (!fault) continue;
      const { tactic, parameters } = candidate;
      const name = this.#context.builder.provenance.of(node)[0] ?? node.op;
      const line = {
        operator: node.op,
        backend: backend.name,
        tactic,
        parameters: canonicalJson(parameters),
        ...fault,
      };
      this.#dropped.set(canonicalJson([name, line]), { node: name, ...line });
    }
  }

  #trialsOf(backend: Backend): Trials {
    let trials = this.#trials.get(backend);
    if (!trials) {
      const { options, log } = this.#context;
      trials = backend.trials!({ timeoutMs: options.tacticTimeoutMs ?? defaultTimeoutMs, log });
      this.#trials.set(backend, trials);
    }
    return trials;
  }

  #inTurn<T>(measure: () => Promise<T>): Promise<T> {
    const result = this.#idle.then(measure);
    this.#idle = result.catch(() => undefined);
    return result;
  }
}
