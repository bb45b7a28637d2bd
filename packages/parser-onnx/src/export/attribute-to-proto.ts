/** Attributes of ONNX nodes as messages. */

import type { GraphWriter } from './graph-writer.js';
import { GraphWriter as Writer } from './graph-writer.js';
import { type AttributeProto, type GraphProto, onnx, toInt64 } from '../proto/decode.js';
import type { OnnxAttribute, RegionAttribute } from './exporter.js';
import { tensorToProto } from './tensor-to-proto.js';

const types = onnx.AttributeProto.AttributeType;
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

export function attributeToProto(name: string, value: OnnxAttribute, graph: GraphWriter): AttributeProto {
  if (typeof value === 'number')
    return { name, type: types.INT, i: toInt64(value) as NonNullable<AttributeProto['i']> };
  if (typeof value === 'string') return { name, type: types.STRING, s: bytes(value) };
  if ('float' in value) return { name, type: types.FLOAT, f: value.float };
  if ('floats' in value) return { name, type: types.FLOATS, floats: [...value.floats] };
  if ('tensor' in value) return { name, type: types.TENSOR, t: tensorToProto(value.tensor, '') };
  if ('graph' in value) return { name, type: types.GRAPH, g: subgraph(name, value.graph, graph) };
  if (typeof value[0] === 'string')
    return { name, type: types.STRINGS, strings: (value as readonly string[]).map(bytes) };
  return {
    name,
    type: types.INTS,
    ints: (value as readonly number[]).map((v) => toInt64(v)) as NonNullable<AttributeProto['ints']>,
  };
}

function subgraph(name: string, { region, formals, captures }: RegionAttribute, outer: GraphWriter): GraphProto {
  const writer = new Writer(outer.model, outer);
  const inputs = formals.map((i) => ({ name: outer.model.fresh(`${name}_input`), type: region.inputs[i]!.type }));
  formals.forEach((i, k) => {
    writer.bind(region.inputs[i]!, inputs[k]!.name);
  });
  for (const [i, captured] of captures) writer.bind(region.inputs[i]!, captured);
  writer.write(region);
  return writer.finish(
    name,
    inputs,
    region.outputs.map((value) => ({ name: outer.model.fresh(`${name}_output`), value })),
  );
}
