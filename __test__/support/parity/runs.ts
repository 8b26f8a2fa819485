// Counts what ran of an application, so that two transcripts can be compared by more than their answers.

export class Runs {
  readonly #counts = new Map<string, number>();

  /** A hook, a guard or a handler of this name runs. */
  count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** What has run since the last time, in the order of the names. */
  take(): Record<string, number> {
    const counts = Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
    this.#counts.clear();
    return counts;
  }
}
