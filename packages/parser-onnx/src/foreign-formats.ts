/** Files that are taken for ONNX models: told by their first bytes, which no model begins with. */

interface Format {
  readonly begins: string | ((bytes: Uint8Array) => boolean);
  /** What it is, and what to do. */
  readonly told: string;
}

const text = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.subarray(from, to)).toString('latin1');

const formats: readonly Format[] = [
  { begins: 'version https://git-lfs', told: 'a pointer of Git LFS: git lfs pull fetches the model itself' },
  { begins: (b) => /^\s*<(!doctype|html|\?xml)/i.test(text(b, 0, 64)), told: 'a web page: its download has failed' },
  { begins: 'PK\x03\x04', told: 'a ZIP archive, such as torch.save writes: torch.onnx.export writes ONNX models' },
  { begins: '\x1f\x8b', told: 'compressed with gzip: unpack it first' },
  { begins: '\x89HDF\r\n', told: 'an HDF5 file, such as Keras writes: tf2onnx converts it' },
  { begins: (b) => text(b, 4, 8) === 'TFL3', told: 'a TensorFlow Lite model: tf2onnx converts it' },
  { begins: isSafetensors, told: 'a safetensors file: it has weights alone, and no network' },
  { begins: 'TWPLAN\r\n', told: 'a plan, which a build has made: Runtime.load loads it' },
];

/** A length, and a JSON object of that many bytes. */
function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 10 || text(bytes, 8, 10) !== '{"') return false;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  return length <= BigInt(bytes.length - 8);
}

/** What the bytes are, where that is something else than a model. */
export function foreignFormat(bytes: Uint8Array): string | undefined {
  return formats.find(({ begins }) =>
    typeof begins === 'string' ? text(bytes, 0, begins.length) === begins : begins(bytes),
  )?.told;
}
