import { definePlugin, PluginRegistry, type AnyPlugin } from '@tensorwright/plugins';
import { expect, it } from 'vitest';

const define = (name: string, version: string, namespace = ''): AnyPlugin =>
  definePlugin({
    name,
    version,
    namespace,
    inputs: ['x'],
    outputs: ['y'],
    infer: ({ inputs: { x } }) => ({ y: x }),
    cpu: ({ x }) => ({ y: x }),
  });

const nine = define('Roll', '1.9', 'acme');
const ten = define('Roll', '1.10', 'acme');
const others = define('Roll', '2', 'others');

it('finds the newest version, and the one that is asked for', () => {
  const registry = new PluginRegistry().register(nine).register(ten);
  expect(registry.get({ name: 'Roll' })).toBe(ten);
  expect(registry.get({ name: 'Roll', version: '1.9' })).toBe(nine);
  expect(() => registry.register(define('Roll', '3', 'acme')).register(nine)).toThrow(/already in this registry/);
});

it('asks its parent for what it lacks', () => {
  const parent = new PluginRegistry().register(nine);
  const child = new PluginRegistry(parent).register(others);
  expect(child.get({ name: 'Roll', namespace: 'acme' })).toBe(nine);
  expect(child.get({ name: 'Roll' })).toBe(others);
  expect(child.list()).toEqual([others, nine]);
  expect(child.unregister(others.key)).toBe(true);
  expect(child.get({ name: 'Roll' })).toBe(nine);
  expect(child.unregister(others.key)).toBe(false);
});

it('wants the namespace where several have the name', () => {
  const registry = new PluginRegistry().register(ten).register(others);
  expect(() => registry.get({ name: 'Roll' })).toThrow(
    /several plugins are called Roll: acme::Roll 1.10, others::Roll 2/,
  );
  expect(registry.find({ domain: 'others', name: 'Roll' })?.operator).toBe(others.operator);
  expect(registry.find({ domain: '', name: 'Roll', namespace: 'acme' })?.operator).toBe(ten.operator);
});

it('names what is near and where it looked', () => {
  const registry = new PluginRegistry(new PluginRegistry().register(ten));
  expect(() => registry.get({ name: 'Rol' })).toThrow(
    /no plugin Rol; the nearest: acme::Roll 1.10 \(looked in the registry given: 0 plugins, then .*: 1 plugins\)/,
  );
});

it('says how to have what is defined but not registered', () => {
  const lonely = define('Lonely', '1');
  expect(() => new PluginRegistry().get(lonely.key)).toThrow(
    /no plugin Lonely 1; no name is similar; it is defined, but not registered: PluginRegistry.global.register\(plugin\)/,
  );
});
