// The main job: an ONNX model becomes a plan, and the plan runs. Handwritten digits are told apart by a small network.
import { readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Builder } from '@tensorwright/builder';
import { Tensor } from '@tensorwright/core';
import { OnnxParser } from '@tensorwright/parser-onnx';
import { Runtime } from '@tensorwright/runtime';

const data = (name) => fileURLToPath(new URL(`data/${name}`, import.meta.url));
const model = data('digits_resnet.onnx');
const pixels = 64;

/** Builds, saves, loads and runs; prints what came out and returns it. */
export async function main({ backends, compare = true, print = console.log } = {}) {
  // Build: slow, once. Here the number of images may change from run to run, and one at a time is to be fast.
  const network = await OnnxParser.parseFile(model);
  const [input] = network.inputs;
  const started = performance.now();
  const plan = await new Builder().build(network, {
    profiles: [{ [input.name]: { min: [1, 1, 8, 8], opt: [1, 1, 8, 8], max: [64, 1, 8, 8] } }],
    onProgress: showProgress,
    ...(backends && { backends }),
  });
  const buildMs = performance.now() - started;
  const file = join(tmpdir(), `digits-${process.pid}.plan`);
  await plan.save(file);

  // Run: fast, from the file alone.
  const loading = performance.now();
  const engine = await Runtime.load(file);
  const loadMs = performance.now() - loading;
  const context = engine.createContext();
  const [output] = engine.outputs;
  const classify = async (image) => {
    const results = await context.run({ [input.name]: new Tensor('float32', image, [1, 1, 8, 8]) });
    return results[output.name].data;
  };

  const images = await testImages();
  const plain = compare ? await plainRun(network, input.name, output.name) : undefined;
  const result = await race(images, classify, plain?.classify);
  const layers = engine.inspect().layers;
  const planBytes = (await stat(file)).size;
  await plain?.close();
  await engine.close();
  await rm(file);

  const used = [...new Set(layers.map((l) => l.backend))].join(', ');
  print(`model     ${network.name || 'digits_resnet'}, ${kilobytes((await stat(model)).size)}`);
  print(`build     ${(buildMs / 1000).toFixed(2)} s`);
  print(`plan      ${kilobytes(planBytes)}, ${layers.length} layers on ${used}`);
  print(`load      ${loadMs.toFixed(1)} ms`);
  print(
    `accuracy  ${result.correct} of ${images.length} images, ${((100 * result.correct) / images.length).toFixed(1)} %`,
  );
  print(`latency   ${result.engineMs.toFixed(3)} ms an image, the median`);
  if (plain) {
    print(
      `          ${result.plainMs.toFixed(3)} ms with ${plain.name}: ${(result.plainMs / result.engineMs).toFixed(2)} times as long`,
    );
  }
  return { ...result, total: images.length, planBytes, layers };
}

/** 360 images that the network was not trained on, and what is on them. */
async function testImages() {
  const bytes = await readFile(data('digits.images.f32'));
  const labels = await readFile(data('digits.labels.u8'));
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return [...labels].map((digit, i) => ({ digit, image: all.slice(i * pixels, (i + 1) * pixels) }));
}

/** The same images through both, in turn, so that neither has the quieter moment. */
async function race(images, engine, plain) {
  for (const { image } of images.slice(0, 20)) await Promise.all([engine(image), plain?.(image)]);
  const times = { engine: [], plain: [] };
  let correct = 0;
  for (const { image, digit } of images) {
    const scores = await timed(times.engine, () => engine(image));
    if (plain) await timed(times.plain, () => plain(image));
    if (scores.indexOf(Math.max(...scores)) === digit) correct++;
  }
  return { correct, engineMs: median(times.engine), plainMs: median(times.plain) };
}

async function timed(times, run) {
  const started = performance.now();
  const result = await run();
  times.push(performance.now() - started);
  return result;
}

/** ONNX Runtime where it is installed, else the same network without any tactics. */
async function plainRun(network, input, output) {
  try {
    const ort = await import('onnxruntime-node');
    const session = await ort.InferenceSession.create(model);
    return {
      name: `onnxruntime-node ${ort.env.versions.node ?? ''}`.trim(),
      classify: async (image) =>
        (await session.run({ [input]: new ort.Tensor('float32', image, [1, 1, 8, 8]) }))[output].data,
      close: () => session.release(),
    };
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  }
  const engine = await Runtime.load(await new Builder().build(network, { backends: ['reference'] }));
  const context = engine.createContext();
  return {
    name: 'the reference backend (onnxruntime-node is not installed)',
    classify: async (image) =>
      (await context.run({ [input]: new Tensor('float32', image, [1, 1, 8, 8]) }))[output].data,
    close: () => engine.close(),
  };
}

function showProgress({ phase, done, total }) {
  if (process.stderr.isTTY)
    process.stderr.write(
      `\r\x1b[Kbuilding: ${phase} ${done}/${total}${phase === 'plan' && done === total ? '\n' : ''}`,
    );
  else if (done === total) process.stderr.write(`building: ${phase}\n`);
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

function kilobytes(bytes) {
  return `${Math.round(bytes / 1000)} kB`;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
