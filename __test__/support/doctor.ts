// `doctor` on the servers of a test: what it finds.

import { AwsLocal } from './aws-local.ts';
import { command, type RunOptions } from './command.ts';

export interface Finding {
  level: 'fail' | 'warn' | 'note' | 'ok';
  about: string;
  what: string;
  next?: string;
}

export interface Diagnosis {
  status: number | null;
  findings: Finding[];
  /** Those that are not `ok`, as `level about: what`. */
  found: string[];
  stderr: string;
}

export const KEY = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

/** Servers with a table that has nothing wrong, and a key. */
export class Patient {
  private constructor(readonly aws: AwsLocal) {}

  static async start(args: string[] = []): Promise<Patient> {
    const patient = new Patient(await AwsLocal.start(['--key-arn', KEY, ...args]));
    const { status, stderr } = await patient.run(['create-table']);
    if (status !== 0) throw new Error(stderr);
    return patient;
  }

  /** The options that lead to the table. */
  get table(): string[] {
    return ['--table-name', 'sessions', '--dynamodb-endpoint', this.aws.dynamodb];
  }

  get key(): string[] {
    return ['--kms-key-arn', KEY, '--kms-endpoint', this.aws.kms];
  }

  run(args: string[], options: RunOptions = {}) {
    const env = { AWS_ENDPOINT_URL_STS: this.aws.sts, ...options.env };
    return command([...args, ...this.table], { ...options, env });
  }

  /** What doctor finds with the right settings, and these. */
  examine(args: string[] = [], options: RunOptions = {}): Promise<Diagnosis> {
    return this.examineWith([...this.table, ...this.key, '--record-version', '2', ...args], options);
  }

  /** What doctor finds with these settings alone. */
  async examineWith(args: string[], options: RunOptions = {}): Promise<Diagnosis> {
    const env = { AWS_ENDPOINT_URL_STS: this.aws.sts, ...options.env };
    const { status, stdout, stderr } = await command(['doctor', '--json', ...args], { ...options, env });
    return { status, stderr, ...diagnosis(stdout, stderr) };
  }

  async stop(): Promise<void> {
    await this.aws.stop();
  }
}

export function diagnosis(stdout: string, stderr: string): Pick<Diagnosis, 'findings' | 'found'> {
  let findings: Finding[];
  try {
    ({ findings } = JSON.parse(stdout));
  } catch {
    throw new Error(`doctor printed no JSON: ${stdout}${stderr}`);
  }
  const found = findings.filter(({ level }) => level !== 'ok').map(({ level, about, what }) => `${level} ${about}: ${what}`);
  return { findings, found };
}
