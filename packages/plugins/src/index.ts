/** Plugins: layers of your own. Importing the package adds the backend that runs their functions for the processor. */

import './register-backend.js';

export { pluginBackend } from './backend.js';
export { definePlugin } from './define-plugin.js';
export {
  type Field,
  type FieldArguments,
  type FieldSchema,
  type FieldValues,
  field,
  type OptionalField,
} from './fields.js';
export { arg } from './launch-argument.js';
export type {
  CallContext,
  CudaImplementation,
  Format,
  KernelTensor,
  Launch,
  LaunchArgument,
  LaunchContext,
  SpecialArgument,
} from './cuda-implementation.js';
export type {
  AnyPlugin,
  ByInput,
  ByOutput,
  CpuContext,
  CpuResult,
  Implementation,
  InferenceContext,
  LayerArguments,
  LayerTensor,
  LoweringContext,
  Names,
  Pattern,
  Plugin,
  PluginSpec,
  Shaped,
} from './plugin.js';
export type { PluginKey } from '@tensorwright/core';
export { PluginLibrary } from './plugin-library.js';
export { PluginRegistry, type RegisterOptions } from './registry.js';
