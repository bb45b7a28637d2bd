import { defineConfig } from 'tsup';
import { library } from '../../scripts/tsup-library.ts';

const entry: [string, string] = ['src/index.ts', 'src/stock/index.ts'];

export default defineConfig({ ...library({ entry }), dts: { entry } });
