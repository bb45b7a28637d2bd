/** Plugins as a user's module would have them: by name, in a list and as default. */

import { definePlugin, field, type Plugin } from '@tensorwright/plugins';

type Elementwise = Plugin<readonly ['x'], readonly ['y']>;

function scaling(name: string, factor: number): Elementwise {
  const plugin = definePlugin({
    name,
    namespace: 'acme',
    fields: { by: field.float(factor) },
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cpu: ({ x }, { by }) => ({ y: (x.data as Float32Array).map((v) => v * by) }),
  });
  return plugin;
}

export const double: Elementwise = scaling('AcmeDouble', 2);
export const listed: readonly Elementwise[] = [scaling('AcmeTriple', 3)];
export const unrelated = { title: 'no plugin' };

const main: Readonly<Record<string, Elementwise>> = { half: scaling('AcmeHalf', 0.5) };
export default main;
