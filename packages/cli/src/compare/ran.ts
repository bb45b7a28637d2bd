/** What `tensorwright run` is asked for, and what has come out before it is compared. */

import type { RuntimeValue, Tensor } from '@tensorwright/core';
import type { EngineInspection } from '@tensorwright/runtime';
import type { BuildFlags } from '../options/build-options.js';
import type { CodeFlags, PluginFlags } from '../options/plugin-options.js';
import type { Reporter } from '../output/reporter.js';
import type { Session } from '../session.js';
import type { PeerName } from './open-peer.js';
import type { LayeredModel } from './run-model.js';

export interface RunFlags extends BuildFlags, PluginFlags, CodeFlags {
  readonly against: PeerName;
  readonly model?: string;
  readonly layers?: true | readonly string[];
  readonly maxNrms?: number;
  readonly atol?: number;
  readonly rtol?: number;
  readonly loadInputs?: readonly string[];
  readonly loadOutputs?: readonly string[];
  readonly saveInputs?: string;
  readonly saveOutputs?: string;
  readonly seed: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose: number;
}

export interface RunSubject {
  readonly path: string;
  readonly flags: RunFlags;
  readonly reporter: Reporter;
  readonly session: Session;
}

export interface Ran {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: Readonly<Record<string, RuntimeValue>>;
  /** Who has computed what is wanted; both undefined where nothing is. */
  readonly peer: string | undefined;
  readonly wanted: Readonly<Record<string, RuntimeValue>> | undefined;
  readonly engine: EngineInspection;
  /** Of a model: what it takes to run it again, layer by layer. */
  readonly layered?: LayeredModel;
}
