// The same from a CommonJS program: our packages are ES modules, and require() takes them.
const { log } = require('node:console');
const { readFileSync } = require('node:fs');
const { Builder } = require('@tensorwright/builder');
const { Tensor } = require('@tensorwright/core');
const { OnnxParser } = require('@tensorwright/parser-onnx');
const { Runtime } = require('@tensorwright/runtime');

async function main() {
  const network = await OnnxParser.parseFile(require.resolve('./data/digits_resnet.onnx'));
  const engine = await Runtime.load(await new Builder().build(network));
  const context = engine.createContext();
  const image = new Float32Array(
    new Uint8Array(readFileSync(require.resolve('./data/digits.images.f32'))).buffer,
    0,
    64,
  );
  const [input] = engine.inputs;
  const [output] = engine.outputs;
  const results = await context.run({ [input.name]: new Tensor('float32', image, [1, 1, 8, 8]) });
  const scores = results[output.name].data;
  log(`The first test image shows a ${scores.indexOf(Math.max(...scores))}.`);
  await engine.close();
}

main();
