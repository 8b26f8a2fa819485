// The servers of tools/aws-local on their own cores: DynamoDB and KMS, and the count of what was asked of them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { microsOf } from './clocks.mjs';
import { pinned } from './machine.mjs';

const TABLE = 'sessions';

export class Servers {
  #process;
  #control;

  /** What a subject needs to know of them, as JSON can hold it. */
  where;

  /** Starts empty ones. They end with this process, too. */
  static async start(program, cores) {
    const servers = new Servers();
    const [command, args] = pinned(cores, program, ['--table', TABLE]);
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`aws-local ended with ${code}`);
    });
    failed.catch(() => {}); // it ends when it is stopped
    const [line] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failed]);
    const { dynamodb, kms, control, keyArns } = JSON.parse(line);
    servers.#process = child;
    servers.#control = control;
    servers.where = { dynamodb, kms, keyArn: keyArns[0], table: TABLE };
    return servers;
  }

  /** @returns {Promise<Record<string, number>>} requests by action since the start. */
  async calls() {
    const reply = await fetch(`${this.#control}/calls`);
    if (!reply.ok) throw new Error(`aws-local refused to tell its calls: ${reply.status}`);
    return reply.json();
  }

  /** Injects a fault; tools/aws-local/README.md says which there are. */
  async fault(fault) {
    const reply = await fetch(`${this.#control}/faults`, { method: 'POST', body: JSON.stringify(fault) });
    if (!reply.ok) throw new Error(`aws-local refused a fault: ${reply.status}`);
  }

  /** Ends all faults. */
  async clearFaults() {
    const reply = await fetch(`${this.#control}/faults`, { method: 'DELETE' });
    if (!reply.ok) throw new Error(`aws-local refused to end its faults: ${reply.status}`);
  }

  /** Microseconds of CPU so far. taskset becomes the program that it starts, so the pid is its own. */
  micros() {
    return microsOf(this.#process.pid);
  }

  async stop() {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.stdin.end();
    await ended;
  }
}

/** Requests by action between two counts, divided by the number of calls. */
export function callsPerCall(before, after, calls) {
  const entries = Object.entries(after).map(([action, count]) => [action, (count - (before[action] ?? 0)) / calls]);
  return Object.fromEntries(
    entries.filter(([, share]) => share > 0.0005).map(([action, share]) => [action, Number(share.toFixed(3))]),
  );
}
