/** Model-local functions: a call is replaced by the body, with parameters bound to the call's attributes. */

import type { Value } from '@tensorwright/core';
import { bindAttribute } from './attributes.js';
import { GraphImporter } from './graph-importer.js';
import { type BoundAttribute, canonicalDomain, type Environment, functionKey } from './model-context.js';
import { ImportFailure, SkippedNode } from './problems.js';
import type { FunctionProto } from './proto/decode.js';
import { toNumber } from './proto/decode.js';
import { failed, Scope } from './scope.js';

export interface FunctionCall {
  readonly definition: FunctionProto;
  readonly key: string;
  /** The calling node, for the names of what it expands to. */
  readonly name: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: ReadonlyMap<string, BoundAttribute>;
}

export function keyOfFunction(f: FunctionProto): string {
  return functionKey(canonicalDomain(f.domain), f.name ?? '', f.overload ?? '');
}

export function expandFunction(caller: GraphImporter, call: FunctionCall): (Value | undefined)[] {
  const { definition, key, inputs } = call;
  const { environment, model } = caller;
  if (environment.calls.includes(key)) {
    throw new ImportFailure(
      'ERR_INVALID_MODEL',
      `the function calls itself: ${[...environment.calls.slice(environment.calls.indexOf(key)), key].join(' → ')}`,
    );
  }
  model.checkDepth(environment.depth + 1);
  const formals = definition.input ?? [];
  if (inputs.length > formals.length)
    throw new ImportFailure(
      'ERR_INVALID_MODEL',
      `the function takes ${formals.length} inputs, the call has ${inputs.length}`,
    );
  const scope = new Scope();
  const omitted = new Set<string>();
  formals.forEach((name, i) => {
    const value = inputs[i];
    if (!value) omitted.add(name);
    else if (!scope.define(name, value))
      throw new ImportFailure('ERR_INVALID_MODEL', `the function has two inputs '${name}'`);
  });
  const body: Environment = {
    opsets: functionOpsets(definition, environment),
    parameters: parametersOf(call, environment),
    path: `${call.name}/`,
    calls: [...environment.calls, key],
    depth: environment.depth + 1,
  };
  new GraphImporter(model, body).importNodes(withoutOmitted(definition, omitted), scope);
  return (definition.output ?? []).map((name) => {
    const binding = scope.lookup(name);
    if (binding === undefined && omitted.has(name)) return undefined;
    if (binding === undefined)
      throw new ImportFailure('ERR_INVALID_MODEL', `output '${name}' of the function is given by no node`);
    if (binding === failed) throw new SkippedNode();
    return binding;
  });
}

function functionOpsets(definition: FunctionProto, environment: Environment): ReadonlyMap<string, number> {
  const own = (definition.opsetImport ?? []).map((o): [string, number] => [
    canonicalDomain(o.domain),
    toNumber(o.version),
  ]);
  return new Map([...environment.opsets, ...own]);
}

function parametersOf(call: FunctionCall, environment: Environment): ReadonlyMap<string, BoundAttribute> {
  const { definition, attributes } = call;
  const parameters = new Map<string, BoundAttribute>();
  const required = new Set(definition.attribute ?? []);
  const empty: Environment = { ...environment, parameters: new Map() };
  for (const proto of definition.attributeProto ?? []) {
    const bound = bindAttribute(proto, empty, new Scope());
    if (bound) parameters.set(proto.name ?? '', bound);
  }
  for (const [name, bound] of attributes) {
    if (!required.has(name) && !parameters.has(name))
      throw new ImportFailure('ERR_INVALID_MODEL', `the function has no attribute '${name}'`);
    parameters.set(name, bound);
  }
  return parameters;
}

/** The body's nodes; an input that the call omits is omitted in them too. */
function withoutOmitted(definition: FunctionProto, omitted: ReadonlySet<string>): NonNullable<FunctionProto['node']> {
  const nodes = definition.node ?? [];
  if (omitted.size === 0) return nodes;
  return nodes.map((node) =>
    node.input?.some((n) => omitted.has(n))
      ? { ...node, input: node.input.map((n) => (omitted.has(n) ? '' : n)) }
      : node,
  );
}
