/** A plugin as an operator of the graph: inference, and evaluation where it has a function for the processor. */

import {
  type AttributeValue,
  ConstantData,
  type Dim,
  type EvaluateContext,
  type InferContext,
  isDType,
  type LoweredCall,
  type Operator,
  type PluginKey,
  pluginOperatorName,
  readNumbers,
  Tensor,
  tensorFromNumbers,
  tensorType,
  TensorwrightError,
  type Type,
} from '@tensorwright/core';
import { isExtent } from './extent.js';
import { type FieldSchema, valuesOf } from './fields.js';
import { evaluateLayers, lowerCall } from './lowering.js';
import { byName, nameOf } from './names.js';
import { callOwn } from './plugin-error.js';
import type { ByInput, CpuContext, CpuResult, InferenceContext, Names, PluginSpec, Shaped } from './plugin.js';
import { checkSharedShapes } from './shared-memory.js';

interface Parts<I extends Names, O extends Names, F extends FieldSchema> {
  readonly key: PluginKey;
  readonly title: string;
  readonly fields: F;
  readonly spec: PluginSpec<I, O, F>;
}

export function operatorOfPlugin<I extends Names, O extends Names, F extends FieldSchema>(
  parts: Parts<I, O, F>,
): Operator {
  const { key, fields, spec } = parts;
  return {
    name: pluginOperatorName(key),
    kind: 'opaque',
    custom: true,
    inputs: spec.inputs,
    outputs: spec.outputs,
    attributes: Object.fromEntries(Object.entries(fields).map(([name, f]) => [name, attributeOf(f.default)])),
    infer: (c) => infer(parts, c),
    ...(spec.lower &&
      spec.infer && {
        lower: (call: LoweredCall) => lowerCall(parts, call),
        evaluate: (c: EvaluateContext) => evaluateLayers(parts, c),
      }),
    ...(spec.cpu && { evaluate: (c: EvaluateContext) => evaluate(parts, c) }),
  };
}

/** A field's default as a node's attribute. */
function attributeOf(value: unknown): AttributeValue | undefined {
  return value instanceof Tensor ? ConstantData.of(value as Tensor) : (value as AttributeValue | undefined);
}

function infer<I extends Names, O extends Names, F extends FieldSchema>(
  { title, fields, spec }: Parts<I, O, F>,
  c: InferContext,
): readonly Type[] {
  if (!spec.infer) return c.fail(`plugin ${title} is no operator but layers: add it by itself`);
  const inputs = spec.inputs.map((_, i) => (c.has(i) ? { dtype: c.tensor(i).dtype, dims: c.dims(i) } : undefined));
  const refusals = new Set<unknown>();
  /** What we refuse on the plugin's behalf is the call's fault, not the plugin's. */
  const ours = <T>(call: () => T): T => {
    try {
      return call();
    } catch (error) {
      refusals.add(error);
      throw error;
    }
  };
  const context: InferenceContext<I, F> = {
    inputs: byName<Shaped>(spec.inputs, inputs) as ByInput<I, Shaped>,
    fields: valuesOf(fields, c.attributes),
    elements: (name) => {
      const position = spec.inputs.findIndex((n) => nameOf(n) === name);
      return position < 0 ? undefined : c.fact(position);
    },
    dataDependent: (name, bounds) => c.fresh(name, bounds),
    agree: (a, b, what) => ours(() => c.agree(a, b, what)),
    fail: (message) => ours(() => c.fail(message)),
  };
  const result = callOwn(title, 'infer', () => spec.infer!(context), refusals) as unknown;
  const shapes = spec.outputs.map((name): Shaped => {
    const shape = (result as Record<string, Shaped | undefined> | null | undefined)?.[name];
    if (shape && isDType(shape.dtype) && Array.isArray(shape.dims) && shape.dims.every(isExtent)) return shape;
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}: infer gives no dtype and extents of output '${name}'`, {
      plugin: title,
      output: name,
    });
  });
  const { inputs: names, outputs, aliases = {} } = spec;
  checkSharedShapes({ title, inputs: names, outputs, aliases }, inputs, shapes);
  return shapes.map(({ dtype, dims }) => tensorType(dtype, dims));
}

function evaluate<I extends Names, O extends Names, F extends FieldSchema>(
  { title, fields, spec }: Parts<I, O, F>,
  c: EvaluateContext,
): readonly Tensor[] {
  const inputs = spec.inputs.map((_, i) => (c.has(i) ? widened(c.tensor(i)) : undefined));
  const outputs = c.outputTypes.map((type) => {
    if (type.kind !== 'tensor' || !type.dims) throw new TensorwrightError('ERR_INTERNAL', 'a plugin gives tensors');
    return { dtype: type.dtype, dims: type.dims.map((d) => extentOf(d, c)) };
  });
  const results = callOwn(title, 'its function for the processor', () =>
    spec.cpu!(byName<Tensor>(spec.inputs, inputs) as ByInput<I, Tensor>, valuesOf(fields, c.attributes), {
      outputs: byName(spec.outputs, outputs),
    } as unknown as CpuContext<O>),
  ) as unknown;
  return spec.outputs.map((name, i) =>
    checked(title, name, (results as Record<string, CpuResult | undefined> | null | undefined)?.[name], outputs[i]!),
  );
}

function extentOf(d: Dim, c: EvaluateContext): number | undefined {
  try {
    return c.dim(d);
  } catch {
    // The values decide it.
    return undefined;
  }
}

const narrow = new Set(['float16', 'bfloat16']);

function widened(t: Tensor): Tensor {
  return narrow.has(t.dtype) ? tensorFromNumbers('float32', readNumbers(t), t.dims) : t;
}

/** A result as a tensor of the inferred type. */
function checked(
  title: string,
  name: string,
  result: CpuResult | undefined,
  expected: CpuContext<[string]>['outputs'][string],
): Tensor {
  const fail = (message: string): never => {
    throw new TensorwrightError('ERR_PLUGIN', `plugin ${title}: output '${name}' ${message}`, {
      plugin: title,
      output: name,
      expected,
    });
  };
  const { dtype, dims } = expected;
  const shape = dims.map((d) => (d === undefined ? '?' : String(d))).join(', ');
  if (result === undefined || (result as unknown) === null)
    return fail('is missing in what its function for the processor returned');
  const wide = narrow.has(dtype) ? 'float32' : dtype;
  let tensor: Tensor;
  if (result instanceof Tensor) tensor = result;
  else if (dims.includes(undefined)) return fail(`must be a Tensor: only the values decide its shape [${shape}]`);
  else {
    try {
      tensor = new Tensor(wide, result, dims as readonly number[]);
    } catch (error) {
      return fail(`is wrong: ${(error as Error).message}`);
    }
  }
  if (tensor.dtype !== wide && tensor.dtype !== dtype) return fail(`is ${tensor.dtype}, expected ${wide}`);
  if (tensor.dims.length !== dims.length || dims.some((d, i) => d !== undefined && d !== tensor.dims[i]))
    return fail(`has shape [${tensor.dims.join(', ')}], expected [${shape}]`);
  return tensor.dtype === dtype ? tensor : tensorFromNumbers(dtype, readNumbers(tensor), tensor.dims);
}
