/** Which of the user's nodes a graph node comes from. A side table: rewriting carries it along by union. */

import type { Node } from './graph.js';

export class Provenance {
  readonly #origins = new WeakMap<Node, Set<string>>();

  add(node: Node, origins: Iterable<string>): void {
    let set = this.#origins.get(node);
    if (!set) this.#origins.set(node, (set = new Set()));
    for (const origin of origins) set.add(origin);
  }

  /** In order of first mention. */
  of(node: Node): string[] {
    return [...(this.#origins.get(node) ?? [])];
  }
}
