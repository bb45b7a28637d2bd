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
  AnyPlugin,
  ByInput,
  ByOutput,
  CallContext,
  CpuContext,
  CpuResult,
  CudaImplementation,
  Format,
  Implementation,
  InferenceContext,
  KernelTensor,
  Launch,
  LaunchArgument,
  LaunchContext,
  LayerArguments,
  LayerTensor,
  LoweringContext,
  Names,
  Pattern,
  Plugin,
  PluginSpec,
  Shaped,
  SpecialArgument,
} from './plugin.js';
export type { PluginKey } from '@tensorwright/core';
export { PluginLibrary } from './plugin-library.js';
export { PluginRegistry, type RegisterOptions } from './registry.js';
