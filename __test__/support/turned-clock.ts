// The clock and the timers of this process, turned by the test. Which timers are set tells the test how far the program has come, so nothing
// depends on how long anything takes. A spec that uses it imports switched-timers.ts first.

import { mock, type TestContext } from 'node:test';
import { switchTimers } from './switched-timers.ts';

export const START = Date.UTC(2030, 0, 1);

export class TurnedClock {
  /** The delays of timers that nobody has waited for yet. */
  readonly #set: number[] = [];
  readonly #expected: Array<{ delay: number; resolve: () => void }> = [];

  /** Stops time until the end of the test. `random` stands in for Math.random, by which waits differ from caller to caller. */
  constructor(t: TestContext, { now = START, random = 1 } = {}) {
    mock.timers.enable({ apis: ['Date', 'setTimeout'], now });
    mock.method(Math, 'random', () => random);
    const mocked: any = globalThis.setTimeout;
    globalThis.setTimeout = Object.assign((callback: any, delay: number, ...args: unknown[]) => {
      const timer = mocked(callback, delay, ...args);
      this.#note(delay);
      return timer;
    }, mocked);
    switchTimers({ setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout });
    t.after(() => {
      switchTimers();
      mock.restoreAll();
      mock.timers.reset();
    });
  }

  /** Resolves when a timer of this many milliseconds has been set. Each timer counts once. */
  timer(delay: number): Promise<void> {
    const index = this.#set.indexOf(delay);
    if (index >= 0) {
      this.#set.splice(index, 1);
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#expected.push({ delay, resolve }));
  }

  /** Lets this many milliseconds pass. */
  tick(milliseconds: number): void {
    mock.timers.tick(milliseconds);
  }

  #note(delay: number): void {
    const index = this.#expected.findIndex((expected) => expected.delay === delay);
    if (index >= 0) this.#expected.splice(index, 1)[0].resolve();
    else this.#set.push(delay);
  }
}
