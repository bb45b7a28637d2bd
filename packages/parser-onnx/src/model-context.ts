/** What the import of one model shares: its settings, symbols, functions, problems and budget of nodes. */

import { GraphBuilder, TensorwrightError } from '@tensorwright/core';
import type { ParserSettings } from './options.js';
import { ProblemList } from './problems.js';
import type { AttributeProto, FunctionProto } from './proto/decode.js';
import type { Scope } from './scope.js';
import type { TensorSource } from './tensor-proto.js';
import { SymbolTable } from './types.js';

/** Ends the whole import, not only that of a node. */
export class ParseAborted extends Error {
  readonly error: unknown;

  constructor(error: unknown) {
    super('parse aborted');
    this.error = error;
  }
}

/** Where a node stands: the main graph or a function body, and how deep. */
export interface Environment {
  readonly opsets: ReadonlyMap<string, number>;
  /** Inside a function: its parameters, as bound by the call. */
  readonly parameters: ReadonlyMap<string, BoundAttribute> | undefined;
  /** Name of the calling nodes, with a '/' behind each. */
  readonly path: string;
  /** Functions being expanded, outermost first. */
  readonly calls: readonly string[];
  readonly depth: number;
}

/** An attribute with what its subgraphs refer to. */
export interface BoundAttribute {
  readonly proto: AttributeProto;
  readonly environment: Environment;
  readonly scope: Scope;
}

export class ModelContext {
  readonly settings: ParserSettings;
  readonly builder: GraphBuilder = new GraphBuilder();
  readonly symbols: SymbolTable = new SymbolTable();
  readonly source: TensorSource;
  readonly functions: ReadonlyMap<string, FunctionProto>;
  problems: ProblemList = new ProblemList();
  #imported = 0;

  constructor(settings: ParserSettings, source: TensorSource, functions: ReadonlyMap<string, FunctionProto>) {
    this.settings = settings;
    this.source = source;
    this.functions = functions;
  }

  /** Counts a node against the budget. @throws ParseAborted */
  countNode(): void {
    const { signal, maxExpandedNodes } = this.settings;
    if (signal?.aborted) throw new ParseAborted(signal.reason);
    if (++this.#imported > maxExpandedNodes) {
      this.abort(
        'maxExpandedNodes',
        maxExpandedNodes,
        `the model has more than ${maxExpandedNodes} nodes after its functions are expanded`,
      );
    }
  }

  checkDepth(depth: number): void {
    const { maxDepth } = this.settings;
    if (depth > maxDepth) this.abort('maxDepth', maxDepth, `subgraphs and function calls nest deeper than ${maxDepth}`);
  }

  abort(option: string, limit: number, message: string): never {
    throw new ParseAborted(
      new TensorwrightError('ERR_LIMIT_EXCEEDED', `${message} (option ${option})`, { option, limit }),
    );
  }

  warn(message: string, data?: Record<string, unknown>): void {
    this.settings.logger({ level: 'warn', scope: 'parser', message, ...(data && { data }) });
  }
}

/** '' and 'ai.onnx' are the same domain. */
export function canonicalDomain(domain: string | null | undefined): string {
  return domain === '' ? 'ai.onnx' : (domain ?? 'ai.onnx');
}

export function functionKey(domain: string, name: string, overload: string): string {
  return `${domain}:${name}${overload === '' ? '' : `:${overload}`}`;
}
