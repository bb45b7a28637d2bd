/** Plans made by hand from small graphs: every node a step of the reference backend, every value on the heap. */

import { referenceBackend } from '@tensorwright/backend-reference';
import {
  asSymbol,
  definerOf,
  type ConstantData,
  type Dim,
  type DimSymbol,
  encodePlanHead,
  formatChecksum,
  formatType,
  type Graph,
  planExpression,
  type PlanExpression,
  type PlanHeader,
  type PlanProfile,
  type PlanStep,
  type PlanStorage,
  type PlanValue,
  topologicalOrder,
  updateChecksum,
  type Value,
} from '@tensorwright/core';

export interface HandMade {
  readonly header: Omit<PlanHeader, 'sections'>;
  readonly weights: Uint8Array;
}

export interface HandMadeOptions {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly profiles?: readonly PlanProfile[];
  /** Steps that run natively, by their place. Default: none. */
  readonly native?: (step: number) => boolean;
  /** Changes steps and values before the header is made. */
  readonly edit?: (program: { values: PlanValue[]; steps: PlanStep[]; expressions: PlanExpression[] }) => void;
}

export async function handMade(graph: Graph, options: HandMadeOptions): Promise<HandMade> {
  const expressions: PlanExpression[] = [];
  const symbols: DimSymbol[] = [];
  const values: PlanValue[] = [];
  const steps: PlanStep[] = [];
  const idOf = new Map<Value, number>();
  const bound = new Set<DimSymbol>();
  const weights: Uint8Array[] = [];
  let weightBytes = 0;

  const symbol = (s: DimSymbol): number => {
    if (!symbols.includes(s)) symbols.push(s);
    return symbols.indexOf(s);
  };
  const expression = (d: Dim): number => {
    expressions.push(planExpression(d, symbol));
    return expressions.length - 1;
  };
  const constant = (data: ConstantData): { offset: number; bytes: number } => {
    const { bytes } = data.tensor;
    const offset = weightBytes;
    weights.push(bytes, new Uint8Array((8 - (bytes.length % 8)) % 8));
    weightBytes += weights.at(-2)!.length + weights.at(-1)!.length;
    return { offset, bytes: bytes.length };
  };
  const add = (v: Value, storage: PlanStorage): number => {
    const { type } = v;
    if (type.kind !== 'tensor') values.push({ storage: { kind: 'object' } });
    else {
      const binds: [number, number][] = [];
      type.dims?.forEach((d, axis) => {
        const s = asSymbol(d);
        if (!s || bound.has(s) || (definerOf(s) ?? v).node !== v.node) return;
        bound.add(s);
        binds.push([axis, symbol(s)]);
      });
      values.push({
        dtype: type.dtype,
        storage,
        ...(type.dims && { dims: type.dims.map(expression) }),
        ...(binds.length > 0 && { binds }),
      });
    }
    idOf.set(v, values.length - 1);
    return values.length - 1;
  };

  graph.inputs.forEach((v, index) => add(v, { kind: 'input', index }));
  for (const node of topologicalOrder(graph)) {
    if (node.op === 'input') continue;
    const [v] = node.outputs;
    if (node.op === 'constant') {
      const data = node.attributes['data'] as ConstantData;
      add(
        v!,
        data.dtype === 'string'
          ? { kind: 'object', strings: data.tensor.data as readonly string[] }
          : { kind: 'constant', ...constant(data) },
      );
      continue;
    }
    if (node.op === 'dims') {
      add(v!, { kind: 'dims', elements: (node.attributes['values'] as readonly Dim[]).map(expression) });
      continue;
    }
    const context = { symbol, constant, view: () => undefined, outputView: () => undefined };
    const emitted = await referenceBackend.emit(node, referenceBackend.candidates(node)[0]!, context);
    const inputs = node.inputs.map((i) => (i ? { value: idOf.get(i)! } : null));
    const outputs = node.outputs.map((o) => ({
      value: add(o, o.type.kind === 'tensor' && o.type.dtype === 'string' ? { kind: 'object' } : { kind: 'heap' }),
    }));
    steps.push({
      kernel: emitted.kernel,
      attributes: emitted.attributes,
      inputs,
      outputs,
      layer: {
        name: `${node.op}_${String(steps.length)}`,
        kind: node.op,
        origins: [`/${node.op}`],
        tactic: 'reference',
      },
    });
  }
  options.edit?.({ values, steps, expressions });
  const segments: { backend: string; begin: number; end: number }[] = [];
  steps.forEach((_, i) => {
    const backend = options.native?.(i) === true ? 'cpu' : 'reference';
    const open = segments.at(-1);
    if (open?.backend === backend) open.end = i + 1;
    else segments.push({ backend, begin: i, end: i + 1 });
  });
  const binding = (v: Value, name: string): PlanHeader['inputs'][number] => ({
    name,
    type: formatType(v.type),
    value: idOf.get(v)!,
  });
  return {
    weights: Buffer.concat(weights),
    header: {
      name: 'hand-made',
      producer: 'test',
      requires: [],
      backends: [...new Set(segments.map((s) => s.backend))].map((name) => ({ name, version: '0.1.0', needs: [] })),
      inputs: graph.inputs.map((v, i) => binding(v, options.inputs[i]!)),
      outputs: graph.outputs.map((v, i) => binding(v, options.outputs[i]!)),
      profiles: options.profiles ?? [],
      program: {
        symbols: symbols.map((s) => ({ name: s.name, min: s.min, max: s.max })),
        expressions,
        values,
        inputs: graph.inputs.map((v) => idOf.get(v)!),
        outputs: graph.outputs.map((v) => idOf.get(v)!),
        steps,
        segments,
        arenaBytes: 0,
      },
      report: { activationBytes: 0, lowerBoundBytes: 0, weightBytes, fallbacks: [] },
    },
  };
}

/** The plan file's bytes; the checksum is that of the weights. */
export function planBytes({ header, weights }: HandMade): Uint8Array {
  const { head } = encodePlanHead(header, [
    { name: 'weights', bytes: weights.length, digest: formatChecksum(updateChecksum(weights)) },
  ]);
  return new Uint8Array(Buffer.concat([head, weights]));
}
