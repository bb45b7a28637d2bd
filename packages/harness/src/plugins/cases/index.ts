/** The stock plugins' cases. */

import type { PluginCase } from '../case.js';
import { skipLayerNormCase } from './skip-layer-norm.js';

export const cases: readonly PluginCase[] = [skipLayerNormCase];
