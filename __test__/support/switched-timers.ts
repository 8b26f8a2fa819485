// Puts timers in place of Node.js's that a test can switch to fakes. The store takes its timers when it is loaded, so this comes before every import of it.

const own = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
let current: { setTimeout: any; clearTimeout: any } = own;

globalThis.setTimeout = Object.assign((...args: unknown[]) => current.setTimeout(...args), own.setTimeout) as typeof setTimeout;
globalThis.clearTimeout = (timer) => current.clearTimeout(timer);

/** Lets the store set these timers from now on; its own ones without an argument. */
export function switchTimers(timers: typeof current = own): void {
  current = timers;
}
