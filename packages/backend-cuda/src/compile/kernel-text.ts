/** Files of the CUDA kernel library as plain text: compile units have no include path. */

import { cudaKernelFile } from '@tensorwright/native';

const texts = new Map<string, string>();

/** `native/cuda/kernels/NAME.cuh` with the files it includes in place of the lines that name them. */
export function kernelText(name: string): string {
  let text = texts.get(name);
  if (text === undefined) texts.set(name, (text = expand(`${name}.cuh`)));
  return text;
}

function expand(file: string): string {
  const folder = file.slice(0, file.lastIndexOf('/') + 1);
  return cudaKernelFile(file).replace(/^#include "([^"]+)"$/gm, (_, included: string) => expand(folder + included));
}
