/** Reads ONNX models into networks and writes networks as ONNX models. */

export { OnnxParser } from './parser.js';
export type { ParseOptions } from './options.js';
export type { ModelProblem } from './problems.js';
export { writeOnnx } from './export/write.js';
export { readValueFile } from './value-file.js';
