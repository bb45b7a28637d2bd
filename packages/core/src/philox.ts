/** Philox4x32-10 (Salmon et al., SC 2011): random numbers as a function of a key and a counter. */

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;

/** The high 32 bits of the product of two 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const [ah, al, bh, bl] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  return ah * bh + Math.floor((ah * bl + al * bh + Math.floor((al * bl) / 0x10000)) / 0x10000);
}

/** Four 32-bit numbers for a 128-bit counter and a 64-bit key, as 32-bit words, lowest first. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1, c2);
    const [low0, low1] = [Math.imul(multiplier0, c0) >>> 0, Math.imul(multiplier1, c2) >>> 0];
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A stream of random numbers under one seed. */
export class RandomStream {
  readonly #key: readonly [number, number];
  #counter = 0;
  #buffer: readonly number[] = [];
  #spare: number | undefined;

  /** @param seed any number; the same seed gives the same stream. Default: a different one each time. */
  constructor(seed?: number) {
    const bits = new Uint32Array(new Float64Array([seed ?? Math.random() + Date.now()]).buffer);
    this.#key = [bits[0]!, bits[1]!];
  }

  #word(): number {
    const at = this.#counter++ % 4;
    if (at === 0) {
      const block = Math.floor(this.#counter / 4);
      this.#buffer = philox([block >>> 0, Math.floor(block / 2 ** 32), 0, 0], this.#key);
    }
    return this.#buffer[at]!;
  }

  /** Uniform in [0, 1), with 24 random bits: every value is exact in float32. */
  uniform(): number {
    return Math.floor(this.#word() / 256) / 2 ** 24;
  }

  /** Normal with mean 0 and deviation 1, by Box and Muller. */
  normal(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare;
      this.#spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
