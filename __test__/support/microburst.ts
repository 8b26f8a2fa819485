// microburst (https://pypi.org/project/microburst) in front of the AWS servers: a proxy that fails in AWS's own words.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A rule of microburst: which requests it is for, and what becomes of them. */
export type Rule = Record<string, unknown>;

export interface Fired {
  service: string;
  operation: string;
  region: string;
}

export class Microburst {
  readonly #process: ChildProcess;
  readonly dynamodb: string;
  readonly kms: string;

  private constructor(process: ChildProcess, [dynamodb, kms]: string[]) {
    this.#process = process;
    this.dynamodb = dynamodb;
    this.kms = kms;
  }

  /** A proxy in front of each service. `MICROBURST_PYTHON` names the Python that has microburst; `npm test` installs it and sets that. */
  static async start(upstreams: { dynamodb: string; kms: string }): Promise<Microburst> {
    const python = process.env.MICROBURST_PYTHON;
    if (!python)
      throw new Error('MICROBURST_PYTHON must name a Python that has microburst; `npm test` installs it and sets this');
    const program = fileURLToPath(new URL('proxies.py', import.meta.url));
    const child = spawn(python, [program, upstreams.dynamodb, upstreams.kms], { stdio: ['pipe', 'pipe', 'inherit'] });
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`microburst ended with ${code} before it was ready`);
    });
    const [line] = await Promise.race([once(createInterface({ input: child.stdout! }), 'line'), failed]);
    failed.catch(() => {}); // it ends when the test stops it
    const proxies = new Microburst(child, JSON.parse(line));
    await Promise.all([
      proxies.#warmUp('dynamodb', 'DynamoDB_20120810.ListTables'),
      proxies.#warmUp('kms', 'TrentService.ListKeys'),
    ]);
    return proxies;
  }

  /** Replaces the rules of all proxies. */
  async rules(rules: Rule[]): Promise<void> {
    for (const url of [this.dynamodb, this.kms]) await this.#ask(url, '/rules', { method: 'POST', body: JSON.stringify(rules) });
  }

  /** The requests that a rule was applied to. */
  async fired(): Promise<Fired[]> {
    const replies = [this.dynamodb, this.kms].map(
      async (url) => (await this.#ask(url, '/fired?limit=100000')).json() as Promise<Fired[]>,
    );
    return (await Promise.all(replies)).flat();
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL'); // it would wait for the requests that it holds back
    await ended;
  }

  /** It reads AWS's description of a service when it first hears of it, which takes longer than a call may. */
  async #warmUp(service: 'dynamodb' | 'kms', target: string): Promise<void> {
    const scope = `20300101/us-east-1/${service}/aws4_request`;
    const authorization = `AWS4-HMAC-SHA256 Credential=warm-up/${scope}, SignedHeaders=host, Signature=0`;
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target, authorization };
    await (await fetch(this[service], { method: 'POST', headers, body: '{}' })).arrayBuffer();
  }

  async #ask(url: string, path: string, init?: RequestInit): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    const reply = await fetch(`${url}/_microburst${path}`, { headers, ...init });
    if (!reply.ok) throw new Error(`microburst refused ${path}: ${await reply.text()}`);
    return reply;
  }
}
