/** ONNX's conformance cases, as the harness reads and compares them, and where they lie beside the repository. */

import { resolve } from 'node:path';

export { type ConformanceCase, conformanceCases, difference } from '../../../harness/src/conformance/data.js';

export const sharedFolder: string = resolve(import.meta.dirname, '../../../../../shared');
