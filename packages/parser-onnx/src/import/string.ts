/** String operators and TfIdfVectorizer. */

import type { Value } from '@tensorwright/core';
import type { ImportContext, ImporterTable } from './importer.js';

function tfIdf(c: ImportContext): Value {
  const optional = (name: string): number[] | undefined => c.ints(name);
  return c.op('tfIdfVectorizer', [c.input(0)], {
    maxGramLength: c.int('max_gram_length', 1),
    minGramLength: c.int('min_gram_length', 1),
    maxSkipCount: c.int('max_skip_count', 0),
    mode: c.string('mode', 'TF'),
    ngramCounts: c.ints('ngram_counts') ?? c.fail("attribute 'ngram_counts' is missing"),
    ngramIndexes: c.ints('ngram_indexes') ?? c.fail("attribute 'ngram_indexes' is missing"),
    poolInt64s: optional('pool_int64s'),
    poolStrings: c.strings('pool_strings'),
    weights: c.floats('weights'),
  });
}

/** A locale as POSIX or BCP 47 names it, as BCP 47 does: `en_US.UTF-8` is en-US. */
function localeOf(c: ImportContext): string {
  const given = c.string('locale', '');
  const [name] = given.split(/[.@]/);
  if (!name || name === 'C' || name === 'POSIX') return 'en-US';
  try {
    return Intl.getCanonicalLocales(name.replaceAll('_', '-'))[0]!;
  } catch {
    return c.fail(`attribute 'locale' names no locale: '${given}'`);
  }
}

export const stringImporters: ImporterTable = {
  StringConcat: (c) => c.op('stringConcat', [c.input(0), c.input(1)]),
  StringSplit: (c) =>
    c.node('stringSplit', [c.input(0)], {
      delimiter: c.string('delimiter', ''),
      maxsplit: c.hasAttribute('maxsplit') ? c.int('maxsplit', 0) : undefined,
    }),
  RegexFullMatch: (c) => c.op('regexFullMatch', [c.input(0)], { pattern: c.string('pattern', '') }),
  StringNormalizer: (c) =>
    c.op('stringNormalizer', [c.input(0)], {
      caseChangeAction: c.string('case_change_action', 'NONE'),
      isCaseSensitive: c.int('is_case_sensitive', 0),
      stopwords: c.strings('stopwords'),
      locale: localeOf(c),
    }),
  TfIdfVectorizer: tfIdf,
};
