/**
 * The backend 'plugins': runs plugins' functions for the processor, in TypeScript. It stands in every build's order
 * after those the user names, so that a plugin without kernels for them still has a place.
 */

import {
  type Backend,
  type Candidate,
  type EmitContext,
  type EmittedStep,
  type Node,
  writeOperator,
} from '@tensorwright/core';
import { pluginOfOperator } from './defined.js';
import { PluginExecutor } from './executor.js';
import { PluginRegistry } from './registry.js';
import { version } from './version.js';

/** For a runtime with plugins of its own: `Runtime.load(plan, { backends: [pluginBackend(registry)] })`. */
export function pluginBackend(registry: PluginRegistry = PluginRegistry.global): Backend {
  return {
    name: 'plugins',
    version,
    implicit: true,
    device: () => ({ id: 'plugins', description: 'functions of plugins, one thread' }),
    refuses(node: Node): string | undefined {
      const plugin = pluginOfOperator(node.op);
      if (!plugin) return 'no plugin';
      return plugin.operator.evaluate ? undefined : `plugin ${plugin.title} has no function for the processor`;
    },
    candidates: (node) => [candidateOf(node)],
    emit: async (node, _candidate, context) => emitStep(node, context),
    needs: (kernels) => [...kernels].map((kernel) => `plugin ${kernel}`),
    createExecutor: (context) => new PluginExecutor(registry, context),
  };
}

function candidateOf(node: Node): Candidate {
  return {
    tactic: 'plugins',
    parameters: {},
    inputs: node.inputs.map(() => 'rows'),
    outputs: node.outputs.map(() => 'rows'),
    stridedOutput: false,
    estimate: 100,
    producer: `plugins ${version}`,
  };
}

function emitStep(node: Node, context: EmitContext): EmittedStep {
  const { key, title } = pluginOfOperator(node.op)!;
  return {
    kernel: title,
    attributes: { ...key, ...writeOperator(node, context) },
    inputs: node.inputs.map((v, index) => (v ? { kind: 'input', index } : { kind: 'omitted' })),
    outputs: node.outputs.map((_, index) => ({ kind: 'output', index })),
  };
}
