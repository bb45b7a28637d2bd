/** The builder: from a network to a plan, through the pipeline. */

import {
  type Backend,
  Breather,
  type DroppedTactic,
  formatType,
  type Graph,
  implicitBackends,
  loadBackend,
  type Logger,
  type Network,
  type PlanHeader,
  type PlanProgram,
  type PlanRounding,
  planRoundings,
  silentLogger,
  standardOperatorSource,
  TensorwrightError,
} from '@tensorwright/core';
import { setImmediate } from 'node:timers/promises';
import { chooseChains } from './choose/chains.js';
import type { Assignments } from './choose/assignment.js';
import { chooseTactics } from './choose/choose.js';
import { areConstantsCold } from './choose/cold-constants.js';
import { TacticTimer } from './choose/measure.js';
import { type BuildOptions, checkOptions } from './options.js';
import type { PassContext } from './pass.js';
import { bindProfiles } from './passes/import/bind-profiles.js';
import { lowerPlugins } from './passes/import/lower-plugins.js';
import { replacePatterns } from './passes/import/replace-patterns.js';
import { pipeline } from './pipeline.js';
import { collectAgreements } from './plan/agreements.js';
import { checkMemory } from './plan/check-memory.js';
import { librarySection } from './plan/library-section.js';
import { lowerProgram } from './plan/lower.js';
import { Plan } from './plan/plan.js';
import { WeightSection } from './plan/weights.js';
import { assignBackends, type PlacedGraph } from './place/assign-backends.js';
import { isReference, withImplicit } from './place/last-resort.js';
import { ProgressReporter } from './progress.js';
import { producer } from './version.js';

/** Turns networks into plans: optimized, with tactics chosen for the backends of this machine. Keeps nothing between builds. */
export class Builder {
  /**
   * Builds an engine plan.
   * @throws ERR_INVALID_OPTION, ERR_UNSUPPORTED, ERR_BACKEND_UNAVAILABLE, ERR_LIMIT_EXCEEDED; the signal's reason when aborted
   */
  async build(network: Network, options: BuildOptions = {}): Promise<Plan> {
    checkOptions(options);
    options.signal?.throwIfAborted();
    const { chosen, leftOut } = await openBackends(options.backends, options.logger ?? silentLogger);
    const backends = withImplicit(chosen, implicitBackends());
    const breather = new Breather(options.signal);
    const logger = options.logger ?? silentLogger;
    const bound = await breather.drive(bindProfiles(network, options.profiles ?? []));
    const context: PassContext = {
      builder: network.builder,
      options,
      backends,
      leftOut,
      optimum: bound.optimum,
      log: (record) => {
        logger({ scope: 'builder', ...record });
      },
      breathe: () => breather.breathe(),
    };
    const progress = new ProgressReporter(options.onProgress);

    const patterns = (options.plugins ?? standardOperatorSource())?.patterns?.() ?? [];
    const replaced = await breather.drive(replacePatterns(bound.network.graph, patterns, context));
    const lowered = await breather.drive(lowerPlugins(replaced.graph, context));
    // A plugin in place of a subgraph may ask for more than the subgraph did, and its layers for more than the plugin.
    const agreements = collectAgreements([bound.network.graph, replaced.graph, lowered], network.builder.provenance);
    let graph = lowered;
    for (const pass of pipeline) {
      progress.report(pass.phase);
      const started = performance.now();
      const result = pass.run(graph, context);
      graph = 'next' in result ? await breather.drive(result) : result;
      context.log({
        level: 'debug',
        message: `pass ${pass.name}`,
        data: { milliseconds: performance.now() - started },
      });
    }

    progress.report('place');
    const { placed, assignments, dropped } = await chooseAll(graph, context, progress);
    const weights = new WeightSection();

    progress.report('plan');
    const inputNames = new Map(placed.graph.inputs.map((v, i) => [v, network.inputs[i]!.name]));
    const deviceBackend = backends.find((b) => b.memory !== undefined);
    const { program, lowerBound } = await lowerProgram(placed.graph, {
      // The native executor copies for all backends; without it the reference backend does.
      copyBackend: chosen.every(isReference) ? 'reference' : 'cpu',
      ...(deviceBackend && { deviceBackend }),
      assignments,
      weights,
      provenance: network.builder.provenance,
      inputNames,
      agreements,
      breathe: () => breather.breathe(),
    });
    checkMemory(program);
    const embedded = options.embedLibraries === true ? librarySection(program) : undefined;
    const rounding = roundingOf(options, program, deviceBackend);
    const header: Omit<PlanHeader, 'sections'> = {
      name: network.name,
      producer,
      requires: embedded ? ['embedded-libraries'] : [],
      backends: backends
        .filter((b) => program.segments.some((s) => s.backend === b.name))
        .map((b) => ({
          name: b.name,
          version: b.version,
          needs: b.needs?.(kernelsOf(program, b.name)) ?? [],
        })),
      inputs: network.inputs.map((input, i) => ({
        name: input.name,
        type: formatType(placed.graph.inputs[i]!.type),
        value: program.inputs[i]!,
      })),
      outputs: network.outputs.map((output, i) => ({
        name: output.name,
        type: formatType(placed.graph.outputs[i]!.type),
        value: program.outputs[i]!,
      })),
      profiles: bound.profiles,
      program,
      report: {
        activationBytes: arenaBytes(program),
        lowerBoundBytes: lowerBound.host + lowerBound.device,
        weightBytes: weights.length,
        fallbacks: placed.fallbacks,
        ...(replaced.reports.length > 0 && { patterns: replaced.reports }),
        ...(dropped.length > 0 && { dropped }),
        ...(rounding.length > 0 && { rounding }),
      },
      ...(embedded && { libraries: embedded.libraries }),
    };
    const plan = await Plan.create(header, weights, embedded?.bytes, breather);
    progress.finish();
    return plan;
  }
}

/** Of both memories, with the arenas of all bodies, which are kept from run to run. */
function arenaBytes(program: PlanProgram): number {
  const bodies = program.steps.flatMap((s) => s.programs ?? []);
  const own = program.arenaBytes + (program.deviceArenaBytes ?? 0);
  return bodies.reduce((sum, body) => sum + arenaBytes(body), own);
}

/** TensorFloat-32 is a device's. */
function roundingOf({ precision }: BuildOptions, program: PlanProgram, device: Backend | undefined): PlanRounding[] {
  const isOnDevice = device !== undefined && kernelsOf(program, device.name).size > 0;
  return planRoundings.filter((name) => precision?.[name] === true && (name !== 'tf32' || isOnDevice));
}

/** Backends and tactics, by trying them. */
async function chooseAll(
  graph: Graph,
  context: PassContext,
  progress: ProgressReporter,
): Promise<{ placed: PlacedGraph; assignments: Assignments; dropped: readonly DroppedTactic[] }> {
  const timer = new TacticTimer(context, areConstantsCold(graph, context.backends));
  try {
    const placed = await assignBackends(await chooseChains(graph, context, timer), context);
    const assignments = await chooseTactics(placed.graph, placed.backendOf, context, progress, timer);
    return { placed, assignments, dropped: timer.dropped };
  } finally {
    timer.close();
    // What failed is worth keeping even where it made the build fail.
    await timer.flush();
  }
}

/** Names of the kernels that steps of one backend call, those in the bodies of control steps too. */
function kernelsOf(program: PlanProgram, backend: string, found = new Set<string>()): Set<string> {
  for (const { begin, end } of program.segments.filter((s) => s.backend === backend))
    for (const step of program.steps.slice(begin, end)) found.add(step.kernel);
  for (const step of program.steps) for (const body of step.programs ?? []) kernelsOf(body, backend, found);
  return found;
}

function because(backend: Backend): string {
  const reason = backend.unavailable?.();
  return reason === undefined ? '' : `: ${reason}`;
}

interface OpenBackends {
  readonly chosen: readonly Backend[];
  /** Default ones that cannot run here: name and reason. */
  readonly leftOut: readonly string[];
}

/** Without a choice of the user's: what this machine has, in order of speed. */
async function openBackends(names: readonly string[] | undefined, logger: Logger): Promise<OpenBackends> {
  if (names) {
    const chosen = await Promise.all(names.map((name) => loadBackend(name)));
    for (const backend of chosen) {
      // To ask for the device loads libraries.
      await setImmediate();
      if (!backend.device())
        throw new TensorwrightError(
          'ERR_BACKEND_UNAVAILABLE',
          `backend '${backend.name}' cannot run on this machine${because(backend)}`,
          { backend: backend.name },
        );
    }
    return { chosen, leftOut: [] };
  }
  const found: Backend[] = [];
  const leftOut: string[] = [];
  const leaveOut = (name: string, why: string): void => {
    leftOut.push(`${name}: ${why}`);
    logger({ level: 'info', scope: 'builder', message: `backend '${name}' is left out: ${why}` });
  };
  for (const name of ['cuda', 'cpu', 'reference']) {
    await setImmediate();
    try {
      const backend = await loadBackend(name);
      if (backend.device()) found.push(backend);
      else leaveOut(name, `it cannot run on this machine${because(backend)}`);
    } catch (error) {
      if (!TensorwrightError.is(error)) throw error;
      leaveOut(name, error.message);
    }
  }
  if (found.length === 0)
    throw new TensorwrightError(
      'ERR_BACKEND_UNAVAILABLE',
      'no backend package is installed: install @tensorwright/backend-cpu or @tensorwright/backend-reference',
    );
  return { chosen: found, leftOut };
}
