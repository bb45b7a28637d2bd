/** Registries: where plugins are looked for by name. */

import {
  type CustomOperator,
  type FieldKind,
  type OperatorCall,
  type OperatorSource,
  type PluginKey,
  pluginOperatorName,
  setStandardOperatorSource,
  type SubgraphPattern,
  TensorwrightError,
} from '@tensorwright/core';
import { closeNames } from './close-names.js';
import { pluginOfOperator } from './defined.js';
import { compareVersions, sameKey } from './plugin-key.js';
import type { AnyPlugin } from './plugin.js';

/** How a registry has a plugin. */
export interface RegisterOptions {
  /** Whether nodes of an ONNX model become this plugin even where the operator is built in. Default: false. */
  readonly override?: boolean;
}

interface Entry {
  readonly plugin: AnyPlugin;
  readonly override: boolean;
  /** Where it offers kernels for a built-in operator. */
  readonly withdraw?: () => void;
}

/** Plugins by name, version and namespace, for parsers, builders and runtimes that are given it. */
export class PluginRegistry implements OperatorSource {
  /** The registry that is asked where no other is given. */
  static readonly global: PluginRegistry = new PluginRegistry();

  readonly #parent: PluginRegistry | undefined;
  readonly #entries: Entry[] = [];

  /** @param parent asked for what this registry does not have. Default: none. */
  constructor(parent?: PluginRegistry) {
    if (parent !== undefined && !(parent instanceof PluginRegistry))
      throw new TensorwrightError('ERR_INVALID_ARGUMENT', 'PluginRegistry: the parent must be a PluginRegistry');
    this.#parent = parent;
  }

  /**
   * @throws ERR_PLUGIN when the registry has one of this name, version and namespace, ERR_INVALID_ARGUMENT for what is no
   * plugin, ERR_INVALID_OPTION
   */
  register(plugin: AnyPlugin, options: RegisterOptions = {}): this {
    checkPlugin(plugin);
    checkOptions(options);
    const { override = false } = options;
    if (this.#entries.some((e) => sameKey(e.plugin.key, plugin.key)))
      throw new TensorwrightError('ERR_PLUGIN', `plugin ${plugin.title} is already in this registry`, {
        plugin: plugin.title,
      });
    const withdraw = plugin.offer?.();
    this.#entries.push({ plugin, override, ...(withdraw && { withdraw }) });
    return this;
  }

  /** Takes out the one of exactly this name, version and namespace; engines and plans that have it go on. @returns whether it was there */
  unregister(key: PluginKey): boolean {
    const at = this.#entries.findIndex((e) => sameKey(e.plugin.key, key));
    const [entry] = at >= 0 ? this.#entries.splice(at, 1) : [];
    entry?.withdraw?.();
    return entry !== undefined;
  }

  /**
   * By name; the newest version, and any namespace, where these are not said.
   * @throws ERR_PLUGIN when there is none, naming the nearest, or when several namespaces have one
   */
  get(wanted: Pick<PluginKey, 'name'> & Partial<PluginKey>): AnyPlugin {
    if (typeof (wanted as Partial<PluginKey> | undefined)?.name !== 'string')
      throw new TensorwrightError(
        'ERR_INVALID_ARGUMENT',
        'PluginRegistry.get: expected { name, version?, namespace? }',
      );
    const found = this.#best(wanted);
    if (found) return found.plugin;
    const title = `${wanted.namespace ? `${wanted.namespace}::` : ''}${wanted.name} ${wanted.version ?? ''}`.trim();
    const close = this.similar(wanted.name);
    const nearest = close.length > 0 ? `the nearest: ${close.join(', ')}` : 'no name is similar';
    const { name, version = '1', namespace = '' } = wanted;
    const isDefined = pluginOfOperator(pluginOperatorName({ name, version, namespace })) !== undefined;
    const hint = isDefined ? '; it is defined, but not registered: PluginRegistry.global.register(plugin)' : '';
    throw new TensorwrightError(
      'ERR_PLUGIN',
      `there is no plugin ${title}; ${nearest}${hint} (looked in ${this.#describe()})`,
      {
        plugin: title,
        nearest: close,
      },
    );
  }

  /** All plugins, the parent's last; those that others here stand before are left out. */
  list(): readonly AnyPlugin[] {
    return this.#all().map((e) => e.plugin);
  }

  /**
   * The plugin that a model's node calls, as the parser asks for it; undefined where there is none.
   * @throws ERR_PLUGIN when several namespaces have one, and the node says none of them
   */
  find(call: OperatorCall): CustomOperator | undefined {
    const { domain, name, version, namespace } = call;
    // A domain is a namespace where a plugin has it; else it is only where the exporter put the node.
    const found =
      this.#best({ name, ...(version !== undefined && { version }), namespace: namespace ?? domain }) ??
      (namespace === undefined || namespace === ''
        ? this.#best({ name, ...(version !== undefined && { version }) })
        : undefined);
    return found && describe(found);
  }

  /** Titles of up to three plugins with a similar name, nearest first. */
  similar(name: string): readonly string[] {
    const entries = this.#all();
    return closeNames(
      name,
      entries.map((e) => e.plugin.key.name),
    ).map((i) => entries[i]!.plugin.title);
  }

  /** The patterns of all plugins, in the order in which builds look for them. */
  patterns(): readonly SubgraphPattern[] {
    return this.list().flatMap((plugin) => plugin.patterns ?? []);
  }

  #best(wanted: Pick<PluginKey, 'name'> & Partial<PluginKey>): Entry | undefined {
    const fits = this.#entries.filter(
      ({ plugin: { key } }) =>
        key.name === wanted.name &&
        (wanted.version === undefined || key.version === wanted.version) &&
        (wanted.namespace === undefined || key.namespace === wanted.namespace),
    );
    const namespaces = new Set(fits.map((e) => e.plugin.key.namespace));
    if (namespaces.size > 1)
      throw new TensorwrightError(
        'ERR_PLUGIN',
        `several plugins are called ${wanted.name}: ${fits.map((e) => e.plugin.title).join(', ')}; name the namespace`,
        { plugin: wanted.name },
      );
    fits.sort((a, b) => compareVersions(b.plugin.key.version, a.plugin.key.version));
    return fits[0] ?? (this.#parent ? this.#parent.#best(wanted) : undefined);
  }

  #all(): Entry[] {
    const inherited = this.#parent ? this.#parent.#all() : [];
    return [
      ...this.#entries,
      ...inherited.filter((e) => !this.#entries.some((own) => sameKey(own.plugin.key, e.plugin.key))),
    ];
  }

  #describe(): string {
    const own = this === PluginRegistry.global ? 'the global registry' : 'the registry given';
    const count = `${own}: ${String(this.#entries.length)} plugins`;
    return this.#parent ? `${count}, then ${this.#parent.#describe()}` : count;
  }
}

function checkPlugin(plugin: unknown): void {
  const { key, operator } = (plugin as Partial<AnyPlugin> | undefined) ?? {};
  if (key && operator) return;
  throw new TensorwrightError(
    'ERR_INVALID_ARGUMENT',
    'PluginRegistry.register: expected what definePlugin gives, or one of the plugins of a library',
  );
}

function checkOptions(options: RegisterOptions): void {
  for (const [option, value] of Object.entries(options)) {
    if (option === 'override' && (value === undefined || typeof value === 'boolean')) continue;
    const problem =
      option === 'override' ? "option 'override' must be true or false" : `unknown option '${option}'; known: override`;
    throw new TensorwrightError('ERR_INVALID_OPTION', `PluginRegistry.register: ${problem}`, { option });
  }
}

function describe({ plugin, override }: Entry): CustomOperator {
  const fields = Object.fromEntries(
    Object.entries(plugin.fields).map(([name, { kind }]): [string, FieldKind] => [name, kind]),
  );
  const { operator, title, lower } = plugin;
  return { operator, title, fields, overrides: override, ...(lower && { lower }) };
}

setStandardOperatorSource(PluginRegistry.global);
