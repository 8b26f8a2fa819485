// A server that a page in docs shows, run as it stands there but for its port.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AwsLocal } from './aws-local.ts';
import { freePort } from './free-port.ts';

const tests = fileURLToPath(new URL('..', import.meta.url));
const docs = join(tests, '..', 'docs');

/** The code below a `<!-- test: NAME -->` comment of a page. */
export async function snippetOf(name: string): Promise<string> {
  const pages = (await readdir(docs)).filter((name) => name.endsWith('.md'));
  for (const page of pages) {
    const text = await readFile(join(docs, page), 'utf8');
    const [, code] = text.match(new RegExp(`<!-- test: ${name} -->\\n\`\`\`ts\\n(.*?)\`\`\``, 's')) ?? [];
    if (code !== undefined) return code;
  }
  throw new Error(`no page has a snippet ${name}`);
}

export class ServedSnippet {
  readonly url: string;
  readonly #folder: string;
  readonly #process: ChildProcess;
  #stderr = '';

  private constructor(url: string, folder: string, process: ChildProcess) {
    this.url = url;
    this.#folder = folder;
    this.#process = process;
    process.stderr!.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text;
    });
  }

  /** Starts it against these servers, and waits until it answers anything. */
  static async start(code: string, aws: AwsLocal, environment: Record<string, string> = {}): Promise<ServedSnippet> {
    const [port, folder] = [await freePort(), await mkdtemp(join(tests, 'snippet-'))];
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
    await writeFile(join(folder, 'server.ts'), code.replace('3000', String(port)).replace('0.0.0.0', '127.0.0.1'));
    const env = {
      ...process.env,
      AWS_ENDPOINT_URL_DYNAMODB: aws.dynamodb,
      AWS_ENDPOINT_URL_KMS: aws.kms,
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_MAX_ATTEMPTS: '1',
      SESSIONS_TABLE: 'sessions',
      ...environment,
    };
    const child = spawn(process.execPath, ['--import', 'tsx', 'server.ts'], {
      cwd: folder,
      env,
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    const served = new ServedSnippet(`http://127.0.0.1:${port}`, folder, child);
    while ((await served.status('/')) === undefined) {
      if (child.exitCode !== null) throw new Error(`the server has ended: ${served.#stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return served;
  }

  /** The status that a path is answered with; `undefined` if nobody answers. */
  async status(path: string): Promise<number | undefined> {
    const answer = await fetch(this.url + path).catch(() => undefined);
    await answer?.arrayBuffer();
    return answer?.status;
  }

  /** Asks for a path until it is answered with this status. */
  async becomes(path: string, status: number): Promise<void> {
    for (let last: number | undefined; last !== status; last = await this.status(path))
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async stop(): Promise<void> {
    const ended = this.#process.exitCode === null ? once(this.#process, 'exit') : undefined;
    this.#process.kill('SIGKILL');
    await ended;
    await rm(this.#folder, { recursive: true });
  }
}
