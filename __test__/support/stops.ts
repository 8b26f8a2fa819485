// Places in a program where it stops until the test lets it go on: order without waiting for time to pass.

class Stop {
  readonly reached: Promise<unknown>;
  readonly passed: Promise<unknown>;
  reach!: (value?: unknown) => void;
  pass!: (value?: unknown) => void;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.reach = resolve;
    });
    this.passed = new Promise((resolve) => {
      this.pass = resolve;
    });
  }
}

export class Stops {
  readonly #stops = new Map<string, Stop>();

  /** In the program: stops here until the test calls `pass` with this name. */
  async stop(name: string): Promise<void> {
    const stop = this.#of(name);
    stop.reach();
    await stop.passed;
  }

  /** In the test: resolves when the program has come to all of these. */
  async reached(...names: string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#of(name).reached));
  }

  /** In the test: lets the program go on, also if it is still on its way there. */
  pass(name: string): void {
    this.#of(name).pass();
  }

  #of(name: string): Stop {
    const stop = this.#stops.get(name) ?? new Stop();
    this.#stops.set(name, stop);
    return stop;
  }
}
