/** Loads this package's library and registers its plugins: `import 'my-tensorwright-plugins'`. */

import { PluginLibrary, PluginRegistry } from '@tensorwright/plugins';

export const library = PluginLibrary.load('my-tensorwright-plugins', import.meta.url);

for (const plugin of library.plugins) PluginRegistry.global.register(plugin);
