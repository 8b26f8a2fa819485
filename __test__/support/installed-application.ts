// An application of `support/installed` in a folder of its own, in a process that is killed and started again.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { SessionStoreConfig } from 'connect-dynamodb-kms';

export class InstalledApplication {
  readonly #folder: string;
  readonly #arguments: string[];
  #process?: ReturnType<typeof spawn>;
  #url = '';

  constructor(folder: string, program: string, config: SessionStoreConfig, ...more: string[]) {
    this.#folder = folder;
    this.#arguments = [program, JSON.stringify(config), ...more];
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, this.#arguments, { cwd: this.#folder, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#process = child;
    const ended = once(child, 'exit').then(([code]) => assert.fail(`the application ended with ${code} before it listened`));
    [this.#url] = (await Promise.race([once(createInterface({ input: child.stdout! }), 'line'), ended])) as [string];
    ended.catch(() => {});
  }

  /** A request with a cookie; gives the reply and the cookie that it sets, if it sets one. */
  async ask(method: string, path: string, cookie?: string): Promise<{ status: number; body: any; cookie?: string }> {
    const reply = await fetch(this.#url + path, { method, headers: { connection: 'close', ...(cookie && { cookie }) } });
    return { status: reply.status, body: await reply.json(), cookie: reply.headers.get('set-cookie')?.split(';')[0] };
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}
