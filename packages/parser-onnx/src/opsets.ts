/** The operator sets this parser knows: the newest version of each domain. */

export const newestOpsets: ReadonlyMap<string, number> = new Map([
  ['ai.onnx', 28],
  ['ai.onnx.ml', 5],
  ['ai.onnx.training', 1],
  ['ai.onnx.preview', 1],
  ['ai.onnx.preview.training', 1],
  ['com.microsoft', 1],
]);

/** File format versions: the oldest with opsets and static types, and the newest. */
export const irVersions: { readonly oldest: number; readonly newest: number } = { oldest: 3, newest: 13 };
