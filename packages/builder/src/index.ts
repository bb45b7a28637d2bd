export { Builder } from './builder.js';
export type { BuildOptions, BuildPhase, BuildProgress, PrecisionOptions, Profile, ProfileShape } from './options.js';
export { Plan } from './plan/plan.js';
