// A real Prometheus (the program that PROMETHEUS names) that scrapes once a second, with rules of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from './free-port.ts';

export const PROMETHEUS = process.env['PROMETHEUS'];

export class PrometheusServer {
  readonly #url: string;
  readonly #folder: string;
  readonly #process: ChildProcess;

  private constructor(url: string, folder: string, process: ChildProcess) {
    this.#url = url;
    this.#folder = folder;
    this.#process = process;
  }

  /**
   * Starts it, and waits until it answers. `targets` is the address of a server with metrics, or of several by the names that the label `instance` shall have.
   * `rules` is the text of a file with rules.
   */
  static async start(targets: string | Record<string, string>, rules: string): Promise<PrometheusServer> {
    const hostOf = (url: string) => new URL(url).host;
    const scraped =
      typeof targets === 'string'
        ? [{ targets: [hostOf(targets)] }]
        : Object.entries(targets).map(([instance, url]) => ({ targets: [hostOf(url)], labels: { instance } }));
    const folder = await mkdtemp(join(tmpdir(), 'prometheus-'));
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yml'],
      scrape_configs: [{ job_name: 'gateway', static_configs: scraped }],
    };
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
    await writeFile(join(folder, 'rules.yml'), rules);
    const host = `127.0.0.1:${await freePort()}`;
    const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${host}`];
    const child = spawn(PROMETHEUS!, args, { stdio: 'ignore' });
    const server = new PrometheusServer(`http://${host}`, folder, child);
    while (!(await fetch(`${server.#url}/-/ready`).catch(() => undefined))?.ok) {
      if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}`);
      await wait(50);
    }
    return server;
  }

  /** The results of an expression now. */
  async query(expression: string): Promise<any[]> {
    return (await this.#ask(`query?query=${encodeURIComponent(expression)}`)).result;
  }

  /** The results of an expression over time, from `start` to `end` in epoch seconds. */
  async queryRange(expression: string, { start, end, step }: { start: number; end: number; step: number }): Promise<any[]> {
    const range = `start=${start}&end=${end}&step=${step}`;
    return (await this.#ask(`query_range?query=${encodeURIComponent(expression)}&${range}`)).result;
  }

  /** The alerts that fire now, or wait for it. */
  async alerts(): Promise<{ labels: Record<string, string>; annotations: Record<string, string>; state: string }[]> {
    return (await this.#ask('alerts')).alerts;
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
    await rm(this.#folder, { recursive: true });
  }

  async #ask(path: string): Promise<any> {
    const reply: any = await (await fetch(`${this.#url}/api/v1/${path}`)).json();
    if (reply.status !== 'success') throw new Error(reply.error);
    return reply.data;
  }
}
