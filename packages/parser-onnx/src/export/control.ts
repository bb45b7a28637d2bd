/** Control flow, sequences, optionals, strings. Subgraphs see the surrounding names, so captures need no inputs. */

import type { Graph } from '@tensorwright/core';
import type { ExportContext, ExporterTable, RegionAttribute } from './exporter.js';

/** @param formals number of the region's own inputs; those behind take the names of the node's inputs from `first` on */
function body(c: ExportContext, region: Graph, formals: number, first: number): { graph: RegionAttribute } {
  const captures = new Map<number, string>();
  for (let i = formals; i < region.inputs.length; i++) captures.set(i, c.input(first + i - formals));
  return { graph: { region, formals: Array.from({ length: formals }, (_, i) => i), captures } };
}

function region(c: ExportContext, i: number): Graph {
  return c.node.regions[i] ?? c.unsupported('a control operator without its body');
}

function control(c: ExportContext, op: 'Loop' | 'Scan'): string[] {
  const carried = c.attribute<number>('carried');
  const scans = c.attribute<number>('scans');
  if (op === 'Loop') {
    const own = 2 + carried;
    return c.emit(
      op,
      [c.input(0), c.input(1), ...c.inputs().slice(2, own)],
      { body: body(c, region(c, 0), own, own) },
      carried + scans,
    );
  }
  const scanned = c.attribute<number>('numScanInputs');
  const own = carried + scanned;
  const list = (name: string): readonly number[] | undefined => c.attribute<readonly number[] | undefined>(name);
  return c.emit(
    op,
    c.inputs().slice(0, own),
    {
      body: body(c, region(c, 0), own, own),
      num_scan_inputs: scanned,
      scan_input_axes: list('scanInputAxes'),
      scan_input_directions: list('scanInputDirections'),
      scan_output_axes: list('scanOutputAxes'),
      scan_output_directions: list('scanOutputDirections'),
    },
    carried + scans,
  );
}

function emptySequence(c: ExportContext): string {
  const { type } = c.node.outputs[0]!;
  if (type.kind !== 'sequence' || type.element.kind !== 'tensor')
    return c.unsupported('an empty sequence of anything but tensors');
  return c.one('SequenceEmpty', [], { dtype: c.code(type.element.dtype) });
}

export const controlExporters: ExporterTable = {
  if: (c) =>
    c.emit(
      'If',
      [c.input(0)],
      { then_branch: body(c, region(c, 0), 0, 1), else_branch: body(c, region(c, 1), 0, 1) },
      c.node.outputs.length,
    ),
  loop: (c) => control(c, 'Loop'),
  scan: (c) => control(c, 'Scan'),
  sequenceMap: (c) => {
    const own = c.attribute<number>('numInputs');
    return c.emit(
      'SequenceMap',
      c.inputs().slice(0, own),
      { body: body(c, region(c, 0), own, own) },
      c.node.outputs.length,
    );
  },
  sequenceConstruct: (c) => (c.node.inputs.length === 0 ? emptySequence(c) : c.one('SequenceConstruct', c.inputs())),
  sequenceAt: (c) => c.one('SequenceAt', c.inputs()),
  sequenceInsert: (c) => c.one('SequenceInsert', c.inputs()),
  sequenceErase: (c) => c.one('SequenceErase', c.inputs()),
  sequenceLength: (c) => c.one('SequenceLength', c.inputs()),
  splitToSequence: (c) =>
    c.one('SplitToSequence', c.inputs(), {
      axis: c.attribute<number>('axis'),
      keepdims: c.attribute<number>('keepdims'),
    }),
  concatFromSequence: (c) =>
    c.one('ConcatFromSequence', c.inputs(), {
      axis: c.attribute<number>('axis'),
      new_axis: c.attribute<number>('newAxis'),
    }),
  optional: (c) => (c.has(0) ? c.one('Optional', c.inputs()) : c.unsupported('an empty optional')),
  optionalHasElement: (c) => c.one('OptionalHasElement', c.inputs()),
  optionalGetElement: (c) => c.one('OptionalGetElement', c.inputs()),
  stringConcat: (c) => c.one('StringConcat', c.inputs()),
  stringSplit: (c) =>
    c.emit(
      'StringSplit',
      c.inputs(),
      { delimiter: c.attribute<string>('delimiter'), maxsplit: c.attribute<number | undefined>('maxsplit') },
      2,
    ),
  regexFullMatch: (c) => c.one('RegexFullMatch', c.inputs(), { pattern: c.attribute<string>('pattern') }),
  stringNormalizer: (c) =>
    c.one('StringNormalizer', c.inputs(), {
      case_change_action: c.attribute<string>('caseChangeAction'),
      is_case_sensitive: c.attribute<number>('isCaseSensitive'),
      stopwords: c.attribute<readonly string[] | undefined>('stopwords'),
      locale:
        c.attribute<string>('locale') === 'en-US' ? undefined : c.attribute<string>('locale').replaceAll('-', '_'),
    }),
  labelEncoder: (c) =>
    c.one(
      'LabelEncoder',
      [c.input(0)],
      {
        keys_tensor: { tensor: c.constantOf(1) },
        values_tensor: { tensor: c.constantOf(2) },
        default_tensor: { tensor: c.constantOf(3).reshape([1]) },
      },
      'ai.onnx.ml',
    ),
  tfIdfVectorizer: (c) => {
    const weights = c.attribute<readonly number[] | undefined>('weights');
    return c.one('TfIdfVectorizer', c.inputs(), {
      max_gram_length: c.attribute<number>('maxGramLength'),
      min_gram_length: c.attribute<number>('minGramLength'),
      max_skip_count: c.attribute<number>('maxSkipCount'),
      mode: c.attribute<string>('mode'),
      ngram_counts: c.attribute<readonly number[]>('ngramCounts'),
      ngram_indexes: c.attribute<readonly number[]>('ngramIndexes'),
      pool_int64s: c.attribute<readonly number[] | undefined>('poolInt64s'),
      pool_strings: c.attribute<readonly string[] | undefined>('poolStrings'),
      ...(weights && { weights: { floats: weights } }),
    });
  },
};
