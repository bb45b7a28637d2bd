/** Has plugins registered while a command works. They are loaded only then: to start needs none of them. */

import type { AnyPlugin } from '@tensorwright/plugins';
import type { PluginFlags } from '../options/plugin-options.js';
import { openPluginSource } from './plugin-source.js';

/** What is registered, and where each comes from: 'stock', or as the user called it. */
export type PluginOrigins = ReadonlyMap<AnyPlugin, string>;

/** @throws ERR_INVALID_OPTION and ERR_PLUGIN for names that cannot be used, before anything is done */
export async function withPlugins<T>(flags: PluginFlags, work: (origins: PluginOrigins) => Promise<T>): Promise<T> {
  const { PluginRegistry } = await import('@tensorwright/plugins');
  const registry = PluginRegistry.global;
  const origins = new Map<AnyPlugin, string>();
  const undo: (() => void)[] = [];
  /** Notes what `add` has registered. */
  const from = async (origin: string, add: () => Promise<void>): Promise<void> => {
    const before = new Set(registry.list());
    try {
      await add();
    } finally {
      // Those before one that fails are there, too.
      for (const plugin of registry.list()) {
        if (before.has(plugin)) continue;
        origins.set(plugin, origin);
        undo.push(() => registry.unregister(plugin.key));
      }
    }
  };
  try {
    if (flags.stockPlugins !== false)
      await from('stock', async () => {
        const { registerStockPlugins } = await import('@tensorwright/plugins/stock');
        registerStockPlugins();
      });
    for (const name of new Set(flags.plugins))
      await from(name, async () => {
        const { plugins, close } = await openPluginSource(name);
        if (close) undo.push(close);
        const known = new Set(registry.list());
        for (const plugin of plugins) if (!known.has(plugin)) registry.register(plugin);
      });
    return await work(origins);
  } finally {
    for (const step of undo.reverse()) step();
  }
}
