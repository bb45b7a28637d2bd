/** Imports the nodes of a graph, of a function body or of a subgraph into canonical nodes. */

import {
  finish,
  type Graph,
  NetworkLayers,
  type Steps,
  TensorwrightError,
  type Type,
  type Value,
} from '@tensorwright/core';
import { AttributeReader } from './attributes.js';
import { findCustom, hintFor, importCustom } from './custom-operators.js';
import { expandFunction } from './functions.js';
import { importers } from './import/index.js';
import type { ImporterTable, ImportFunction } from './import/importer.js';
import {
  canonicalDomain,
  type BoundAttribute,
  type Environment,
  functionKey,
  type ModelContext,
  ParseAborted,
} from './model-context.js';
import { NodeContext } from './node-context.js';
import { orderNodes } from './node-order.js';
import { newestOpsets } from './opsets.js';
import { ImportFailure, SkippedNode } from './problems.js';
import type { GraphProto, NodeProto } from './proto/decode.js';
import { type Binding, failed, RegionScope, Scope } from './scope.js';
import { constantFromProto, constantFromSparse } from './tensor-proto.js';

export type GraphAttribute = BoundAttribute & { readonly graph: GraphProto };

export class GraphImporter {
  readonly model: ModelContext;
  readonly environment: Environment;

  constructor(model: ModelContext, environment: Environment) {
    this.model = model;
    this.environment = environment;
  }

  /** Initializers, then nodes, into `scope`. */
  importBody(graph: GraphProto, scope: Scope): void {
    finish(this.bodySteps(graph, scope));
  }

  /** `importBody` in slices. */
  *bodySteps(graph: GraphProto, scope: Scope): Steps<void> {
    for (const proto of graph.initializer ?? []) {
      yield;
      this.#initializer(proto.name ?? '', scope, () =>
        this.model.builder.constant(constantFromProto(proto, this.model.source)),
      );
    }
    for (const proto of graph.sparseInitializer ?? []) {
      this.#initializer(proto.values?.name ?? '', scope, () =>
        this.model.builder.constant(constantFromSparse(proto, this.model.source)),
      );
    }
    yield* this.#nodeSteps(graph.node ?? [], scope);
  }

  #initializer(name: string, scope: Scope, make: () => Value): void {
    const node = `initializer '${name}'`;
    if (name === '') {
      this.model.problems.add({ code: 'ERR_INVALID_MODEL', node, reason: 'it has no name' });
      return;
    }
    let binding: Binding = failed;
    try {
      this.model.builder.origin = [];
      binding = make();
    } catch (error) {
      if (!(error instanceof ImportFailure)) throw error;
      this.model.problems.add({
        code: error.code,
        node,
        reason: error.message,
        ...(error.hint !== undefined && { hint: error.hint }),
      });
    }
    if (!scope.define(name, binding))
      this.model.problems.add({ code: 'ERR_INVALID_MODEL', node, reason: 'the name is taken by another value' });
  }

  importNodes(nodes: readonly NodeProto[], scope: Scope): void {
    finish(this.#nodeSteps(nodes, scope));
  }

  *#nodeSteps(nodes: readonly NodeProto[], scope: Scope): Steps<void> {
    const { order, cycles } = orderNodes(nodes);
    for (const cycle of cycles) {
      const names = cycle.map((i) => nodeName(nodes[i]!, i));
      this.model.problems.add({
        code: 'ERR_INVALID_MODEL',
        node: this.environment.path + names[0]!,
        reason: `the nodes depend on themselves: ${names.slice(0, 8).join(' → ')}${names.length > 8 ? ' → …' : ''} → ${names[0]!}`,
      });
      for (const i of cycle) for (const name of nodes[i]!.output ?? []) if (name !== '') scope.define(name, failed);
    }
    for (const i of order) {
      this.#importNode(nodes[i]!, i, scope);
      yield;
    }
  }

  #importNode(proto: NodeProto, index: number, scope: Scope): void {
    const name = this.environment.path + nodeName(proto, index);
    const domain = canonicalDomain(proto.domain);
    const { builder, problems } = this.model;
    const outerOrigin = builder.origin;
    let outputs: readonly (Value | undefined)[] | undefined;
    this.model.countNode();
    try {
      builder.origin = [name];
      outputs = this.#run(proto, name, domain, scope);
    } catch (error) {
      if (error instanceof ParseAborted) throw error;
      if (!(error instanceof SkippedNode)) {
        problems.add({
          ...problemOf(error),
          node: name,
          operator: proto.opType ?? '',
          domain,
          ...(this.environment.opsets.has(domain) && { opset: this.environment.opsets.get(domain)! }),
        });
      }
    } finally {
      builder.origin = outerOrigin;
    }
    (proto.output ?? []).forEach((output, i) => {
      if (output === '') return;
      const value = outputs?.[i];
      if (outputs && !value) {
        problems.add({
          code: 'ERR_UNSUPPORTED',
          node: name,
          operator: proto.opType ?? '',
          domain,
          reason: `output ${i} ('${output}') is not supported`,
        });
      }
      if (!scope.define(output, value ?? failed)) {
        problems.add({
          code: 'ERR_INVALID_MODEL',
          node: name,
          operator: proto.opType ?? '',
          domain,
          reason: `its output '${output}' has the name of another value`,
        });
      }
    });
  }

  #run(proto: NodeProto, name: string, domain: string, scope: Scope): readonly (Value | undefined)[] {
    const attributes = new AttributeReader(proto, this.environment, scope, this.model.source);
    const opType = proto.opType ?? '';
    const key = functionKey(domain, opType, proto.overload ?? '');
    const local = this.model.functions.get(key);
    const builtIn = importers.get(domain)?.get(opType);
    const custom = findCustom(this.model.settings, domain, opType, attributes);
    // A problem of its own, whatever has become of the inputs.
    if (!local && !builtIn && !custom) throw this.#unknown(domain, opType);
    const inputs = this.#inputs(proto, scope);
    if (custom && (custom.overrides || !(local ?? builtIn))) {
      // A domain of somebody's own need not be among the model's opsets.
      const opset = this.environment.opsets.get(domain) ?? 1;
      const context = new NodeContext({ proto, domain, opset, inputs, attributes }, this);
      return importCustom(custom, context, attributes, new NetworkLayers(this.model.builder, name));
    }
    if (local) return expandFunction(this, { definition: local, key, name, inputs, attributes: attributes.entries() });
    const opset = this.#opset(domain);
    const context = new NodeContext({ proto, domain, opset, inputs, attributes }, this);
    const result = versionFor(opset, builtIn!)(context);
    return Array.isArray(result) ? (result as readonly (Value | undefined)[]) : [result as Value];
  }

  #inputs(proto: NodeProto, scope: Scope): (Value | undefined)[] {
    const names = proto.input ?? [];
    let skipped = false;
    const values = names.map((name) => {
      if (name === '') return undefined;
      const binding = scope.lookup(name);
      if (binding === undefined)
        throw new ImportFailure('ERR_INVALID_MODEL', `its input '${name}' is given by no node, input or initializer`);
      if (binding === failed) skipped = true;
      return binding === failed ? undefined : binding;
    });
    if (skipped) throw new SkippedNode();
    while (values.length > 0 && values[values.length - 1] === undefined) values.pop();
    return values;
  }

  #opset(domain: string): number {
    const wrong = this.#wrongOpset(domain);
    if (wrong) throw wrong;
    return this.environment.opsets.get(domain)!;
  }

  #wrongOpset(domain: string, hint?: string): ImportFailure | undefined {
    const opset = this.environment.opsets.get(domain);
    if (opset === undefined)
      return new ImportFailure('ERR_INVALID_MODEL', `the model imports no opset of the domain '${domain}'`, hint);
    const newest = newestOpsets.get(domain);
    if (newest === undefined || opset <= newest) return undefined;
    return new ImportFailure(
      'ERR_UNSUPPORTED',
      `opset ${opset} of ${domain} is not known; the newest known one is ${newest}`,
      `Export the model with opset ${newest} or older.`,
    );
  }

  /** What to tell of a node that nothing stands for. */
  #unknown(domain: string, opType: string): ImportFailure {
    const hint = hintFor(this.model.settings, opType);
    const isKnown = importers.has(domain);
    const reason = isKnown ? 'the operator is not known' : `the operator domain '${domain}' is not known`;
    const wrongOpset = this.#wrongOpset(domain, isKnown ? undefined : hint);
    return wrongOpset ?? new ImportFailure('ERR_UNSUPPORTED', reason, hint);
  }

  /** A subgraph as a region. Its formal inputs come first, then what it takes from around it. */
  importRegion(attribute: GraphAttribute, inputTypes: readonly Type[]): { graph: Graph; captures: Value[] } {
    const { graph } = attribute;
    const importer = this.#nested(attribute);
    const scope = new RegionScope(attribute.scope, this.model.builder);
    const inputs = this.#formals(graph, scope, inputTypes.length, (name, i) =>
      this.model.builder.input(name, inputTypes[i]!),
    );
    importer.importBody(graph, scope);
    const outputs = this.#outputs(graph, scope);
    return { graph: { inputs: [...inputs, ...scope.captureInputs], outputs }, captures: scope.captures };
  }

  /** A subgraph in place. */
  importInline(attribute: GraphAttribute, inputs: readonly Value[]): Value[] {
    const { graph } = attribute;
    const scope = new Scope(attribute.scope);
    this.#formals(graph, scope, inputs.length, (_, i) => inputs[i]!);
    this.#nested(attribute).importBody(graph, scope);
    return this.#outputs(graph, scope);
  }

  #nested(attribute: GraphAttribute): GraphImporter {
    const depth = this.environment.depth + 1;
    this.model.checkDepth(depth);
    return new GraphImporter(this.model, { ...attribute.environment, depth, path: this.environment.path });
  }

  #formals(graph: GraphProto, scope: Scope, count: number, bind: (name: string, i: number) => Value): Value[] {
    const formals = graph.input ?? [];
    if (formals.length !== count)
      throw new ImportFailure(
        'ERR_INVALID_MODEL',
        `the subgraph '${graph.name ?? ''}' has ${formals.length} inputs, ${count} are needed`,
      );
    return formals.map((info, i) => {
      const name = info.name ?? '';
      const value = bind(name, i);
      if (!scope.define(name, value))
        throw new ImportFailure('ERR_INVALID_MODEL', `the subgraph '${graph.name ?? ''}' has two inputs '${name}'`);
      return value;
    });
  }

  #outputs(graph: GraphProto, scope: Scope): Value[] {
    return (graph.output ?? []).map((info) => {
      const binding = scope.lookup(info.name ?? '');
      if (binding === undefined)
        throw new ImportFailure(
          'ERR_INVALID_MODEL',
          `output '${info.name ?? ''}' of the subgraph '${graph.name ?? ''}' is given by no node`,
        );
      if (binding === failed) throw new SkippedNode();
      return binding;
    });
  }
}

export function nodeName(proto: NodeProto, index: number): string {
  if (proto.name) return proto.name;
  return proto.output?.find((o) => o !== '') ?? `${proto.opType ?? 'node'}_${index}`;
}

function versionFor(opset: number, importer: ImporterTable[string]): ImportFunction {
  if (typeof importer === 'function') return importer;
  const since = Object.keys(importer)
    .map(Number)
    .filter((v) => v <= opset);
  if (since.length === 0) throw new ImportFailure('ERR_INVALID_MODEL', `the operator does not exist in opset ${opset}`);
  return importer[Math.max(...since)]!;
}

function problemOf(error: unknown): { code: ImportFailure['code']; reason: string; hint?: string } {
  if (error instanceof ImportFailure)
    return { code: error.code, reason: error.message, ...(error.hint !== undefined && { hint: error.hint }) };
  if (TensorwrightError.is(error))
    return {
      code:
        error.code === 'ERR_VALUE' || error.code === 'ERR_SHAPE_MISMATCH' || error.code === 'ERR_DTYPE_MISMATCH'
          ? 'ERR_INVALID_MODEL'
          : error.code,
      reason: error.message,
    };
  return { code: 'ERR_INTERNAL', reason: `internal error: ${error instanceof Error ? error.message : String(error)}` };
}
