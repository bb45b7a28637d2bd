/** All importers, by operator domain: one line for each family. */

import { constantImporters } from './constants.js';
import { controlImporters } from './control.js';
import type { ImporterTable } from './importer.js';
import { movementImporters } from './movement.js';
import { optionalImporters } from './optional.js';
import { encoderImporters } from './ml-encoders.js';
import { linearImporters } from './ml-linear.js';
import { mlMapImporters } from './ml-maps.js';
import { treeImporters } from './ml-trees.js';
import { refusedImporters, refusedMlImporters, refusedTrainingImporters } from './refused.js';
import { sequenceImporters } from './sequence.js';
import { stringImporters } from './string.js';
import { attentionImporters, previewAttentionImporters } from './attention.js';
import { convImporters } from './conv.js';
import { einsumImporters } from './einsum.js';
import { gatherImporters } from './gather.js';
import { integerContractionImporters } from './integer-contraction.js';
import { matmulImporters } from './matmul.js';
import { poolImporters } from './pool.js';
import { recurrentImporters } from './recurrent.js';
import { resizeImporters } from './resize.js';
import { signalImporters } from './signal.js';
import { activationImporters } from './activation.js';
import { castImporters } from './cast.js';
import { elementwiseImporters } from './elementwise.js';
import { lossImporters } from './loss.js';
import { microsoftAttentionImporters } from './microsoft-attention.js';
import { microsoftConvImporters } from './microsoft-conv.js';
import { microsoftElementwiseImporters } from './microsoft-elementwise.js';
import { microsoftMatmulImporters } from './microsoft-matmul.js';
import { microsoftNormalizationImporters } from './microsoft-normalization.js';
import { microsoftVisionImporters } from './microsoft-vision.js';
import { normalizationImporters } from './normalization.js';
import { microsoftQuantizeImporters, quantizeImporters } from './quantize.js';
import { randomImporters } from './random.js';
import { reduceImporters } from './reduce.js';
import { softmaxImporters } from './softmax.js';
import { trainingImporters } from './training.js';
import { shapeImporters } from './shape.js';

const families: Readonly<Record<string, readonly ImporterTable[]>> = {
  'ai.onnx': [
    constantImporters,
    shapeImporters,
    movementImporters,
    controlImporters,
    sequenceImporters,
    optionalImporters,
    stringImporters,
    refusedImporters,
    elementwiseImporters,
    castImporters,
    activationImporters,
    quantizeImporters,
    reduceImporters,
    softmaxImporters,
    normalizationImporters,
    randomImporters,
    lossImporters,
    matmulImporters,
    einsumImporters,
    integerContractionImporters,
    convImporters,
    poolImporters,
    gatherImporters,
    resizeImporters,
    attentionImporters,
    recurrentImporters,
    signalImporters,
  ],
  'ai.onnx.ml': [encoderImporters, linearImporters, treeImporters, mlMapImporters, refusedMlImporters],
  'ai.onnx.preview': [previewAttentionImporters],
  'ai.onnx.preview.training': [trainingImporters, refusedTrainingImporters],
  'ai.onnx.training': [],
  'com.microsoft': [
    microsoftElementwiseImporters,
    microsoftNormalizationImporters,
    microsoftQuantizeImporters,
    microsoftAttentionImporters,
    microsoftMatmulImporters,
    microsoftConvImporters,
    microsoftVisionImporters,
  ],
};

/** Domain → operator → importer. */
export const importers: ReadonlyMap<string, ReadonlyMap<string, ImporterTable[string]>> = new Map(
  Object.entries(families).map(([domain, tables]) => [domain, new Map(tables.flatMap((t) => Object.entries(t)))]),
);
