/** Operators that are known but not supported: each with its reason. */

import type { ImporterTable } from './importer.js';

export const refusedImporters: ImporterTable = {
  ImageDecoder: (c) =>
    c.unsupported('image files are not decoded in a network', 'Decode the image before the run and feed its pixels.'),
};

export const refusedMlImporters: ImporterTable = {
  SVMClassifier: (c) =>
    c.unsupported('support vector classification is not supported', 'SVMRegressor and LinearClassifier are.'),
};

export const refusedTrainingImporters: ImporterTable = {
  Gradient: (c) =>
    c.unsupported('networks are run, not trained: gradients are not computed', 'Export the inference graph.'),
};
