// One session's lease in a table of its own, and what others may do to it.

import { createHash } from 'node:crypto';
import type { TestContext } from 'node:test';
import { type AwsBackend, startAws } from './backends.ts';
import { StoppingProxy } from './stopping-proxy.ts';
import { TableItems } from './table-items.ts';
import { START } from './turned-clock.ts';

export const SID = 'the-session';
export const LEASE = `lease:${createHash('sha256').update(SID).digest('base64url')}`;

export class LeaseScene {
  readonly backend: AwsBackend;
  readonly table: TableItems;

  private constructor(backend: AwsBackend) {
    this.backend = backend;
    this.table = new TableItems(backend.aws);
  }

  static async start(): Promise<LeaseScene> {
    return new LeaseScene(await startAws());
  }

  /** A store whose calls to the table a proxy can stop. */
  async proxied(t: TestContext) {
    const proxy = await StoppingProxy.start(this.backend.aws.dynamodb);
    t.after(() => proxy.close());
    return { proxy, store: this.backend.store({ dynamodbEndpoint: proxy.url }) };
  }

  /** When the lease ends by the table, in milliseconds after START, and whose it is. */
  async item(): Promise<{ until: number; owner?: string } | undefined> {
    const item = await this.table.get(LEASE);
    return item && { until: Number(item.leaseUntil.N) - START, owner: item.owner.S };
  }

  /** As another program that takes the lease for itself. */
  takeAway(until: number) {
    return this.table.change(LEASE, { owner: { S: 'somebody else' }, leaseUntil: { N: String(START + until) } });
  }

  async stop(): Promise<void> {
    this.table.close();
    await this.backend.stop();
  }
}
