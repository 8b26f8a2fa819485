// The DynamoDB, KMS and STS servers of tools/aws-local, as one process that the test starts and stops.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A fault that the servers answer with; see tools/aws-local/README.md. */
export interface Fault {
  action: string;
  status?: number;
  code?: string;
  message?: string;
  times?: number;
  unprocessed?: number;
  /** Only requests with this text in their body. */
  containing?: string;
}

/** A request as the servers got it. `body` is the parsed JSON. */
export interface Recorded {
  action: string;
  accessKeyId: string;
  region: string;
  body: any;
}

export class AwsLocal {
  readonly dynamodb: string;
  readonly kms: string;
  readonly sts: string;
  readonly keyArns: string[];
  readonly #control: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, line: any) {
    this.#process = process;
    this.dynamodb = line.dynamodb;
    this.kms = line.kms;
    this.sts = line.sts;
    this.keyArns = line.keyArns;
    this.#control = line.control;
  }

  /** Starts the servers on free ports. `AWS_LOCAL` names the program; `npm test` builds it and sets that. */
  static async start(args: string[] = []): Promise<AwsLocal> {
    const program = process.env.AWS_LOCAL;
    if (!program) throw new Error('AWS_LOCAL must name the program of tools/aws-local; `npm test` builds it and sets this');
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`aws-local ended with ${code} before it was ready`);
    });
    const [line] = await Promise.race([once(createInterface({ input: child.stdout! }), 'line'), failed]);
    failed.catch(() => {}); // it ends when the test stops it
    return new AwsLocal(child, JSON.parse(line));
  }

  /** How many requests of each IAM action came since the last reset, such as `{ 'dynamodb:GetItem': 2 }`. */
  async calls(): Promise<Record<string, number>> {
    return (await this.#ask('GET', '/calls')).json() as Promise<Record<string, number>>;
  }

  /** Forgets counts and recorded requests. */
  async reset(): Promise<void> {
    await this.#ask('DELETE', '/calls');
  }

  async requests(): Promise<Recorded[]> {
    return (await this.#ask('GET', '/requests')).json() as Promise<Recorded[]>;
  }

  async fault(fault: Fault): Promise<void> {
    await this.#ask('POST', '/faults', fault);
  }

  async clearFaults(): Promise<void> {
    await this.#ask('DELETE', '/faults');
  }

  /** Sets the services' clock ahead of this machine's. */
  async setClock(aheadSeconds: number): Promise<void> {
    await this.#ask('POST', '/clock', { aheadSeconds });
  }

  /** Makes a call as the SDK does; gives the answer, or throws with the error's code as name. */
  async dynamodbCall(operation: string, body: object): Promise<any> {
    return this.#call(this.dynamodb, 'dynamodb', `DynamoDB_20120810.${operation}`, body);
  }

  async kmsCall(operation: string, body: object): Promise<any> {
    return this.#call(this.kms, 'kms', `TrentService.${operation}`, body);
  }

  async #call(url: string, service: string, target: string, body: object): Promise<any> {
    const scope = `20300101/us-east-1/${service}/aws4_request`;
    const headers = {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': target,
      'x-amz-date': '20300101T000000Z',
      authorization: `AWS4-HMAC-SHA256 Credential=test/${scope}, SignedHeaders=host, Signature=0`,
    };
    const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
    const answer: any = await reply.json();
    if (reply.ok) return answer;
    const error = new Error(answer.message);
    error.name = answer.__type.replace(/^.*#/, '');
    throw error;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    await ended;
  }

  async #ask(method: string, path: string, body?: unknown): Promise<Response> {
    const reply = await fetch(this.#control + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    if (!reply.ok) throw new Error(`aws-local refused ${method} ${path}: ${await reply.text()}`);
    return reply;
  }
}
