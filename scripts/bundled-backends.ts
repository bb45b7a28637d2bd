// The backends of the repository, for programs bundled by from-source.mjs.
import '../packages/backend-cpu/src/index.js';
import '../packages/backend-cuda/src/index.js';
import '../packages/backend-reference/src/index.js';
