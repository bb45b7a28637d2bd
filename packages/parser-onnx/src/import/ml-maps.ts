/** ai.onnx.ml's maps. */

import { type DType, Tensor, type Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

function labels(c: ImportContext, ints: string, strings: string): Value {
  const words = c.strings(strings);
  return c.constant(
    words?.length
      ? new Tensor('string', words)
      : new Tensor('int64', c.ints(ints) ?? c.fail(`attribute '${ints}' or '${strings}' is needed`)),
  );
}

const castTargets: ReadonlyMap<string, DType> = new Map([
  ['TO_FLOAT', 'float32'],
  ['TO_INT64', 'int64'],
  ['TO_STRING', 'string'],
]);

export const mlMapImporters: ImporterTable = {
  ZipMap: (c) => {
    const x = c.input(0);
    const rows = c.rank(x) === 1 ? c.op('reshape', [x], { dims: [1, c.dimsOf(x)[0]!] }) : x;
    return c.op('zipMap', [rows, labels(c, 'classlabels_int64s', 'classlabels_strings')]);
  },
  DictVectorizer: (c) => c.op('dictVectorizer', [c.input(0), labels(c, 'int64_vocabulary', 'string_vocabulary')]),
  CastMap: (c) =>
    c.op('castMap', [c.input(0)], {
      to: castTargets.get(c.string('cast_to', 'TO_FLOAT')) ?? c.fail('unknown cast_to'),
      maxMap: c.string('map_form', 'DENSE') === 'SPARSE' ? c.int('max_map', 1) : undefined,
    }),
};
