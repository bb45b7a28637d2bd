/** The native side of a plan: weights mapped, kernels made, one call per run or per segment. */

import { type PlanProgram, TensorwrightError } from '@tensorwright/core';
import type { Program } from '@tensorwright/native';
import type { ContextOptions } from '../execution-context.js';
import type { PlanSource } from '../plan/plan-source.js';
import type { ReadPlan } from '../plan/read-plan.js';
import type { Driver } from './driver.js';
import { NativeDriver, SegmentRunner } from './native-context.js';
import { nativeBackends, openNative } from './native-requirements.js';
import type { NativeSegments } from './step-driver.js';
import { withStringExtents } from './string-extents.js';

export interface NativePlan {
  /** For a plan that runs natively from end to end. */
  createDriver(options: ContextOptions): Driver;
  /** For one of several backends. */
  createSegments(options: ContextOptions): NativeSegments;
  /** Bytes of the device's memory that hold the weights; 0 where nothing runs on one. */
  readonly deviceBytes: number;
  close(): void;
}

/** @throws ERR_BACKEND_UNAVAILABLE when there is no native library, or the processor lacks something; ERR_INVALID_PLAN */
export async function openNativePlan(
  { header, weights }: ReadPlan,
  source: PlanSource,
  { threads, device }: { readonly threads?: number | undefined; readonly device?: number | undefined },
): Promise<NativePlan> {
  const native = await openNative(header, source.place);
  const mapped =
    weights &&
    native.openWeights(
      source.bytes?.subarray(weights.offset, weights.offset + weights.bytes) ?? {
        path: source.path!,
        offset: weights.offset,
        bytes: weights.bytes,
      },
    );
  let program: Program;
  try {
    program = await native.loadProgram(withStringExtents(nativeProgram(header.program)), mapped ?? null, {
      ...(threads !== undefined && { threads }),
      ...(device !== undefined && { device }),
    });
  } catch (error) {
    throw TensorwrightError.is(error)
      ? new TensorwrightError(
          error.code,
          `${source.place}: ${error.message}`,
          { ...error.details, file: source.place },
          { cause: error },
        )
      : error;
  } finally {
    // The program holds what it needs of them.
    mapped?.close();
  }
  const contextOptions = ({ poison, graphs, debug }: ContextOptions): Parameters<Program['createContext']>[0] => ({
    ...(poison !== undefined && { poison }),
    ...(graphs !== undefined && { recordings: graphs }),
    ...(debug !== undefined && { guards: debug }),
  });
  return {
    createDriver: (options) => new NativeDriver(native, program.createContext(contextOptions(options))),
    createSegments: (options) =>
      new SegmentRunner(native, program.createContext(contextOptions(options)), header.program),
    deviceBytes: program.deviceConstantBytes,
    close: () => {
      program.close();
    },
  };
}

/** Without the attributes of steps that run elsewhere: they can be large, and mean nothing here. */
function nativeProgram(program: PlanProgram): PlanProgram {
  if (program.segments.every((s) => nativeBackends.has(s.backend))) return program;
  const steps = program.segments.flatMap(({ backend, begin, end }) => {
    const own = program.steps.slice(begin, end);
    return nativeBackends.has(backend) ? own : own.map((step) => ({ ...step, attributes: {} }));
  });
  return { ...program, steps };
}
