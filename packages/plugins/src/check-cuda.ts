/** Whether a plugin's CUDA implementation makes sense, before a kernel is asked for. */

import { dtypes, isDType, type Layout } from '@tensorwright/core';
import type { FieldSchema } from './fields.js';
import { nameOf } from './names.js';
import type { CudaImplementation } from './cuda-implementation.js';
import type { Names } from './plugin.js';
import { checkFunctions, checkMembers, type Fail, isListOfText } from './refusal.js';

type AnyCuda = CudaImplementation<Names, Names, FieldSchema>;

const members: Readonly<Record<keyof AnyCuda, true>> = {
  source: true,
  uses: true,
  dtypes: true,
  refuses: true,
  epilogue: true,
  formats: true,
  tactics: true,
  launches: true,
  count: true,
  workspaceBytes: true,
};

const layouts: Readonly<Record<Layout, true>> = { rows: true, channelsLast: true, headsInner: true };

/** @param fail throws ERR_INVALID_ARGUMENT naming the plugin */
export function checkCuda(fail: Fail, cuda: AnyCuda, operands: { inputs: Names; outputs: Names }): void {
  checkMembers(fail, 'cuda', cuda, members);
  if (typeof cuda.source !== 'string') fail('cuda.source must be CUDA C++ text');
  const { uses, epilogue }: Record<string, unknown> = { ...cuda };
  if (uses !== undefined && !isListOfText(uses)) fail('cuda.uses must be names of files of the kernel library');
  if (typeof cuda.launches !== 'function') fail('cuda.launches must be a function');
  checkFunctions(fail, 'cuda.', cuda, ['refuses', 'count', 'workspaceBytes']);
  checkDtypes(fail, cuda.dtypes);
  checkTactics(fail, cuda.tactics);
  checkFormats(fail, cuda.formats, [...operands.inputs, ...operands.outputs].map(nameOf));
  if (epilogue !== undefined && typeof epilogue !== 'boolean') fail('cuda.epilogue must be true or false');
  if (epilogue === true && operands.outputs.length > 1) fail('cuda.epilogue is for plugins with one output');
}

function checkDtypes(fail: Fail, given: unknown): void {
  if (given === undefined) return;
  if (!isListOfText(given) || given.length === 0) return fail('cuda.dtypes must be a list of dtypes');
  for (const dtype of given)
    if (!isDType(dtype)) fail(`cuda.dtypes: there is no dtype '${dtype}'; known: ${dtypes.join(', ')}`);
}

/** Each has a name of its own: times are kept by it. */
function checkTactics(fail: Fail, given: unknown): void {
  if (given === undefined) return;
  if (!isListOfText(given) || given.length === 0 || new Set(given).size < given.length)
    fail('cuda.tactics must be different names, one or more');
}

function checkFormats(fail: Fail, given: unknown, operands: readonly string[]): void {
  if (given === undefined) return;
  const isFormat = (format: unknown): format is object => typeof format === 'object' && format !== null;
  if (!Array.isArray(given) || given.length === 0 || !given.every(isFormat))
    return fail('cuda.formats must be a list of layouts by operand, one or more');
  for (const [name, layout] of given.flatMap((format) => Object.entries(format) as [string, unknown][])) {
    if (!operands.includes(name)) fail(`cuda.formats: there is no input or output '${name}'`);
    if (!Object.hasOwn(layouts, String(layout)))
      fail(`cuda.formats: there is no layout '${String(layout)}'; known: ${Object.keys(layouts).join(', ')}`);
  }
}
