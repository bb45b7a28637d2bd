/** Replays a program and proves that no two live arena buffers overlap: independent of the planner. */

import { type PlanProgram, TensorwrightError } from '@tensorwright/core';

/** @throws ERR_INTERNAL naming both values and the step */
export function checkMemory(program: PlanProgram): void {
  const last = new Map<number, number>();
  const touch = (step: number, value: number | undefined): void => {
    if (value !== undefined) last.set(value, step);
  };
  program.steps.forEach((step, s) => {
    for (const operand of [...step.inputs, ...step.outputs]) touch(s, operand?.value);
  });
  for (const output of program.outputs) touch(program.steps.length, output);
  const live = new Set<number>();
  program.steps.forEach((step, s) => {
    for (const operand of step.outputs) if (operand) enter(program, live, operand.value, s);
    for (const operand of step.inputs) {
      if (operand && program.values[operand.value]!.storage.kind === 'arena' && !live.has(operand.value)) {
        throw new TensorwrightError(
          'ERR_INTERNAL',
          `step ${String(s)} (${step.layer.name}) reads value ${String(operand.value)} before it is written`,
        );
      }
    }
    for (const value of [...live]) if (last.get(value) === s) live.delete(value);
  });
}

function enter(program: PlanProgram, live: Set<number>, value: number, step: number): void {
  if (live.has(value)) return;
  const { storage: a, memory } = program.values[value]!;
  if (a.kind !== 'arena') return;
  if (a.offset < 0 || a.offset + a.bytes > (memory ? (program.deviceArenaBytes ?? 0) : program.arenaBytes)) {
    throw new TensorwrightError('ERR_INTERNAL', `value ${String(value)} lies outside the arena`);
  }
  for (const other of live) {
    const { storage: b, memory: otherMemory } = program.values[other]!;
    if (
      memory === otherMemory &&
      b.kind === 'arena' &&
      a.offset < b.offset + b.bytes &&
      b.offset < a.offset + a.bytes
    ) {
      throw new TensorwrightError(
        'ERR_INTERNAL',
        `values ${String(value)} and ${String(other)} overlap at step ${String(step)} (${program.steps[step]!.layer.name})`,
      );
    }
  }
  live.add(value);
}
