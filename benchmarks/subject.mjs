// The process of a subject, as seen from run.mjs: tasks go in, results come out, and an error in it ends the run.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { pinned } from './machine.mjs';

/** Credentials and quiet, the same for all subjects. */
export const ENVIRONMENT = {
  ...process.env,
  AWS_ACCESS_KEY_ID: 'bench',
  AWS_SECRET_ACCESS_KEY: 'bench',
  AWS_REGION: 'us-east-1',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  NODE_ENV: 'production',
};

const PROGRAM = fileURLToPath(new URL('subject-process.mjs', import.meta.url));

export class Subject {
  #process;
  #waiting;

  /** Starts the process on the subjects' cores and opens its store. */
  static async start(id, { where, cores, ticks, options, nodeArgs = [] }) {
    const subject = new Subject();
    subject.id = id;
    const given = JSON.stringify({ id, servers: where, ticks, serverCores: cores.servers });
    const [command, args] = pinned(cores.client, process.execPath, ['--expose-gc', ...nodeArgs, PROGRAM, given]);
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: ENVIRONMENT });
    subject.#process = child;
    child.on('message', ({ value, error }) => {
      const { resolve, reject } = subject.#waiting;
      if (error) reject(new Error(error));
      else resolve(value);
    });
    child.once('exit', (code, signal) => subject.#waiting.reject(new Error(`the process of ${id} ended with ${code ?? signal}`)));
    try {
      await subject.#answer();
      await subject.ask('open', { options });
      return subject;
    } catch (error) {
      child.kill();
      throw error;
    }
  }

  /** Has the process do a task; only one at a time. */
  ask(task, given = {}) {
    const answer = this.#answer();
    this.#process.send({ task, ...given });
    return answer;
  }

  #answer() {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  async stop() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.disconnect();
    await ended;
  }
}
