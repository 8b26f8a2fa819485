// The example gateway as a process, and a browser in front of it.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const example = fileURLToPath(new URL('../../examples/fastify-gateway', import.meta.url));

export class DemoGateway {
  readonly cookies = new Map<string, string>();
  /** When the cookie that was set last ends, in epoch milliseconds. */
  cookieEnds = 0;
  origin = '';
  readonly #args: string[];
  readonly #environment: NodeJS.ProcessEnv;
  #process: ChildProcess | undefined;

  constructor(environment: NodeJS.ProcessEnv, args: string[] = []) {
    this.#environment = environment;
    this.#args = args;
  }

  async start(): Promise<void> {
    const gateway = spawn(process.execPath, ['--import', 'tsx', 'src/server.ts', ...this.#args], {
      cwd: example,
      env: { ...process.env, PORT: '0', ...this.#environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = gateway;
    let stderr = '';
    gateway.stderr!.on('data', (chunk) => {
      stderr += chunk;
    });
    const [line] = (await Promise.race([
      once(createInterface({ input: gateway.stdout! }), 'line'),
      once(gateway, 'exit').then(() => assert.fail(stderr)),
    ])) as [string];
    assert.equal(stderr, '', 'the demo warns');
    this.origin = new URL(/http:\S+/.exec(line)![0]).origin;
  }

  async kill(): Promise<void> {
    const gateway = this.#process;
    if (!gateway || gateway.exitCode !== null || gateway.signalCode !== null) return;
    const ended = once(gateway, 'exit');
    gateway.kill('SIGKILL');
    await ended;
  }

  /** As a browser would, but it follows no redirect. */
  async send(method: string, path: string, form?: Record<string, string>): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const body = form && new URLSearchParams(form);
    const answer = await fetch(new URL(path, this.origin), { method, headers: { cookie }, body, redirect: 'manual' });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!;
      this.cookieEnds = Date.parse(/expires=([^;]+)/i.exec(set)?.[1] ?? '');
      if (value) this.cookies.set(name!, value);
      else this.cookies.delete(name!);
    }
    return answer;
  }

  async press(path: string): Promise<void> {
    assert.equal((await this.send('POST', path)).status, 303);
  }

  /** Goes through the pretend provider. */
  async login(service = 'google'): Promise<void> {
    const asked = await this.send('GET', `/login?service=${service}`);
    const consent = await this.send('POST', asked.headers.get('location')!, { service, decision: 'allow' });
    const back = new URL(consent.headers.get('location')!);
    const end = await this.send('GET', `${back.pathname}${back.search}`);
    assert.equal(end.headers.get('location'), '/');
  }
}
