/** Extents as a library's inference gives them. */

import { addDims, applyDimFunction, type Dim, type DimFunction, mulDims, subDims } from '@tensorwright/core';

/** An extent out of the library's postfix code. */
export function extentOf(code: readonly string[], unknowns: readonly Dim[], fresh: readonly Dim[]): Dim {
  const stack: Dim[] = [];
  for (const token of code) {
    if (/^-?\d+$/.test(token)) stack.push(Number(token));
    else if (token.startsWith('x')) stack.push(unknowns[Number(token.slice(1))]!);
    else if (token.startsWith('f') && token !== 'floordiv') stack.push(fresh[Number(token.slice(1))]!);
    else {
      const b = stack.pop()!;
      const a = stack.pop()!;
      stack.push(combine(token, a, b));
    }
  }
  return stack[0]!;
}

function combine(operation: string, a: Dim, b: Dim): Dim {
  if (operation === '+') return addDims(a, b);
  if (operation === '-') return subDims(a, b);
  return operation === '*' ? mulDims(a, b) : applyDimFunction(operation as DimFunction, a, b);
}
