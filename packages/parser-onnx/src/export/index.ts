/** All exporters by canonical operator: one line for each family. */

import { computeExporters } from './compute.js';
import { controlExporters } from './control.js';
import type { ExporterTable, ExportFunction } from './exporter.js';
import { mapExporters } from './maps.js';
import { movementExporters } from './movement.js';
import { selectExporters } from './select.js';

const families: readonly ExporterTable[] = [
  mapExporters,
  movementExporters,
  computeExporters,
  selectExporters,
  controlExporters,
];

export const exporters: ReadonlyMap<string, ExportFunction> = new Map(families.flatMap((t) => Object.entries(t)));
