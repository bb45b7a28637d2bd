/** The other implementation that a run is compared with. */

import type { RuntimeValue, Tensor } from '@tensorwright/core';

export interface Peer {
  /** 'onnxruntime-node 1.30.0', 'the reference evaluation' */
  readonly name: string;
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, RuntimeValue>>;
  close(): Promise<void>;
}
