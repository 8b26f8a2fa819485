// A program of this folder as a process of its own: to be killed, to crash, or to hold what one process alone may hold.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** What it printed on standard output and nobody took with `line`. */
  lines: string[];
  stderr: string;
}

export class Program {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #stderr = '';

  /**
   * Starts `support/NAME.ts`, or `support/NAME` if that is a module of plain JavaScript, with its arguments as JSON. Its standard input ends with this
   * process.
   */
  constructor(name: string, ...args: unknown[]) {
    const isPlain = name.endsWith('.mjs');
    const path = fileURLToPath(new URL(isPlain ? name : `./${name}.ts`, import.meta.url));
    const argv = [...(isPlain ? [] : ['--import', 'tsx']), path, ...args.map((arg) => JSON.stringify(arg))];
    this.#process = spawn(process.execPath, argv, { stdio: 'pipe' });
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
    this.#process.stderr!.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text;
    });
  }

  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Gives it a line on its standard input. */
  write(line: string): void {
    this.#process.stdin!.write(`${line}\n`);
  }

  /** The next line that it prints; `undefined` at its end. */
  async next(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : value;
  }

  /** The next line that it prints. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`the program ended without the line that was waited for: ${this.#stderr}`);
    return value;
  }

  /** Waits for its end, after sending `signal` if there is one. */
  async end(signal?: NodeJS.Signals): Promise<Exit> {
    const closed =
      this.#process.exitCode === null && this.#process.signalCode === null ? once(this.#process, 'close') : undefined;
    if (signal) this.#process.kill(signal);
    const lines: string[] = [];
    for (let next = await this.#lines.next(); !next.done; next = await this.#lines.next()) lines.push(next.value);
    await closed;
    return { code: this.#process.exitCode, signal: this.#process.signalCode, lines, stderr: this.#stderr };
  }
}

/** In the program: the arguments it was started with. It ends when the process that started it is gone. */
export function programArguments(): any[] {
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(1));
  process.stdin.unref?.();
  return process.argv.slice(2).map((arg) => JSON.parse(arg));
}
