// The matrix of faults: one cell for each operation of the two services and each fault of it. A cell has sessions, a region and so clients of its own, and
// what is injected is told by the region, so that all cells run at the same time and none meets another's retry budget.

import assert from 'node:assert/strict';
import { type DynamoDBSessionStore, SessionStoreError } from 'connect-dynamodb-kms';
import type { AwsBackend } from './backends.ts';
import { RETRYABLE } from './failures.ts';
import type { Rule } from './microburst.ts';
import { type Oddity, oddities } from './odd-server.ts';
import type { TableItem } from './table-items.ts';
import { entriesOf, listKey, USERS } from './user-lists.ts';

const KEY = 'key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a';
const SESSION = { user: 'Ada' };
/** More than any deadline of a call, in milliseconds. */
const FOR_EVER = 120_000;
/** Deadlines that no cell misses for want of a processor, so that each attempt ends by its fault and not by chance. */
const LONG = { connectMillis: 30_000, attemptMillis: 30_000, callMillis: 60_000 };
/** So long that the second attempt of a fault that its deadline ends once is not late as well. */
const ONE_MISSED = { connectMillis: 6000, attemptMillis: 6000, callMillis: 60_000 };

export interface Fault {
  name: string;
  /** What microburst does to a request, or a server of our own. */
  rule?: (operation: Operation) => Rule;
  oddity?: Oddity;
  /** Whether the server gets the request all the same. */
  forwards: boolean;
  /** Of one operation alone. */
  only?: string;
  /** Whether the deadlines end it, so that how often it is tried again is a matter of chance. */
  timed?: boolean;
}

const error = (code: string, status: number) => ({ error: { code, status, message: 'injected' } });

export const FAULTS: Fault[] = [
  {
    name: 'throttled',
    rule: ({ service }) => error(service === 'kms' ? 'ThrottlingException' : 'ProvisionedThroughputExceededException', 400),
    forwards: false,
  },
  {
    name: 'status 500',
    rule: ({ service }) => error(service === 'kms' ? 'KMSInternalException' : 'InternalServerError', 500),
    forwards: false,
  },
  { name: 'status 503', rule: () => error('ServiceUnavailable', 503), forwards: false },
  { name: 'connection reset', rule: () => ({ reset: true }), forwards: false },
  { name: '200 ms late', rule: () => ({ latency: 200 }), forwards: true },
  { name: 'slow upload', rule: () => ({ request: { slow_upload: { rate_kbps: 16 } } }), forwards: true },
  { name: 'reply lost', rule: () => ({ response: { abort_bytes: 0 } }), forwards: true },
  { name: 'reply cut short', rule: () => ({ response: { truncate_frac: 0.5 } }), forwards: true },
  {
    name: 'reply corrupted',
    // One flipped byte is no ASCII any more. DescribeTable says much that nobody reads, so it takes many to meet what is read.
    rule: ({ name }) => ({ response: { corrupt_bytes: name === 'DescribeTable' ? 300 : 1 } }),
    forwards: true,
  },
  { name: 'reply without end', rule: () => ({ response: { bandwidth_kbps: 0.000_001 } }), forwards: true, timed: true },
  { name: 'no reply in time', rule: () => ({ latency: FOR_EVER }), forwards: false, timed: true },
  { name: 'connection taken, nothing said', oddity: oddities.hang, forwards: false, timed: true },
  { name: 'a byte a second', oddity: oddities.trickle, forwards: true, timed: true },
  { name: 'a page of HTML, status 200', oddity: oddities.page, forwards: false },
  { name: 'a reply of 3 MB', oddity: oddities.large, forwards: true },
  { name: 'a reply of 100 MB', oddity: oddities.endless, forwards: true },
  { name: 'every write unprocessed', oddity: oddities.unprocessed, forwards: false, only: 'BatchWriteItem' },
];

export interface Operation {
  name: string;
  service: 'dynamodb' | 'kms';
  /** The call that makes such a request, as the table names it. */
  call: string;
  run: (store: DynamoDBSessionStore) => Promise<unknown>;
  /** Whether its sessions are listed under their users. */
  users?: true;
  /** What it gives when all is well. */
  gives?: unknown;
  /** What the table says of another answer, if it may give one. */
  says?: (value: unknown) => string | undefined;
  /** Makes again what a call has used up. */
  restore?: (store: DynamoDBSessionStore) => Promise<unknown>;
  /** How a session that is there looks afterwards, in one word or two. */
  left: (items: Record<string, TableItem>) => string;
}

const there = ({ old }: Record<string, TableItem>) => (old ? 'the session' : 'nothing');
/** A session that logs in is on its user's list, or neither is there. */
function joined(items: Record<string, TableItem>): string {
  assert.equal('new' in entriesOf(items.list), items.new !== undefined);
  return fresh(items);
}
const fresh = ({ new: item }: Record<string, TableItem>) => (item ? 'the new session' : 'no new session');

export const OPERATIONS: Operation[] = [
  { name: 'GetItem', service: 'dynamodb', call: 'get', run: (store) => store.get('old'), gives: SESSION, left: there },
  { name: 'PutItem', service: 'dynamodb', call: 'set, new', run: (store) => store.set('new', SESSION), left: fresh },
  {
    name: 'UpdateItem',
    service: 'dynamodb',
    call: 'touch',
    run: (store) => store.touch('old', SESSION),
    left: ({ old }) => (Number(old.ttl.N) > Date.now() / 1000 + 5000 ? 'the new end' : 'the old end'),
  },
  { name: 'DeleteItem', service: 'dynamodb', call: 'destroy', run: (store) => store.destroy('old'), left: there },
  {
    name: 'DeleteItem',
    service: 'dynamodb',
    call: 'take',
    run: (store) => store.take('old'),
    gives: SESSION,
    // The first attempt removed it, and its reply was lost.
    says: (value) => (value === null ? '`null`' : undefined),
    restore: (store) => store.set('old', { ...SESSION }),
    left: there,
  },
  {
    name: 'TransactWriteItems',
    service: 'dynamodb',
    call: 'set, login',
    users: true,
    run: (store) => store.set('new', { ...SESSION }),
    left: joined,
  },
  {
    name: 'DeleteItem',
    service: 'dynamodb',
    call: 'destroyAllOf',
    users: true,
    run: (store) => store.destroyAllOf(SESSION.user),
    gives: 1,
    // The first attempt removed it, and its reply was lost.
    says: (value) => (value === 0 ? '`0`' : undefined),
    restore: (store) => store.set('old', { ...SESSION }),
    left: there,
  },
  {
    name: 'PutItem',
    service: 'dynamodb',
    call: 'destroyAllOf',
    users: true,
    run: (store) => store.destroyAllOf(SESSION.user),
    gives: 1,
    restore: (store) => store.set('old', { ...SESSION }),
    left: there,
  },
  { name: 'Scan', service: 'dynamodb', call: 'length', run: (store) => store.length(), gives: 1, left: there },
  { name: 'BatchWriteItem', service: 'dynamodb', call: 'clear', run: (store) => store.clear(), left: there },
  { name: 'DescribeTable', service: 'dynamodb', call: 'ping', run: (store) => store.ping(), left: there },
  { name: 'GenerateDataKey', service: 'kms', call: 'set, new', run: (store) => store.set('new', SESSION), left: fresh },
  { name: 'Decrypt', service: 'kms', call: 'get, key not cached', run: (store) => store.get('old'), gives: SESSION, left: there },
];

export type Strikes = 'once' | 'always';

export class FaultCell {
  readonly operation: Operation;
  readonly fault: Fault;
  readonly strikes: Strikes;
  readonly region: string;
  #store!: DynamoDBSessionStore;
  outcome = '';

  constructor(operation: Operation, fault: Fault, strikes: Strikes, number: number) {
    this.operation = operation;
    this.fault = fault;
    this.strikes = strikes;
    this.region = `us-fault-${number}`;
  }

  get keyArn(): string {
    return `arn:aws:kms:${this.region}:232282424912:${KEY}`;
  }

  /** What to inject: the same for microburst and for our own server. */
  get matches() {
    return { region: this.region, operation: this.operation.name, ...(this.strikes === 'once' ? { times: 1 } : {}) };
  }

  /** Saves a session by a store that no fault meets, and makes the one that some do, with its clients: their making does not take of a deadline then. */
  async prepare(backend: AwsBackend, endpoints: { dynamodbEndpoint: string; kmsEndpoint: string }): Promise<void> {
    const users = this.operation.users && USERS;
    const config = { region: this.region, kmsKeyArn: this.keyArn, prefix: `${this.region}:`, users };
    await backend.store({ ...config, ttlSeconds: 1000 }).set('old', SESSION);
    this.#store = backend.store({ ...config, ...endpoints, timeouts: this.#timeouts, ttlSeconds: 10_000, touchAfter: 0 });
    await this.#store.get('none');
  }

  /** The deadlines of the store; `undefined` for the default ones, by which a fault for good ends. */
  get #timeouts() {
    if (!this.fault.timed) return LONG;
    return this.strikes === 'once' ? ONE_MISSED : undefined;
  }

  async run(): Promise<void> {
    this.outcome = await this.#attempt();
  }

  /** When the fault is over, the same store works without a restart. */
  async recover(): Promise<void> {
    const { fault, operation, strikes } = this;
    await operation.restore?.(this.#store);
    assert.equal(await this.#attempt(), 'as usual', `${operation.name} after ${fault.name}, ${strikes}`);
  }

  left(items: Record<string, TableItem>): string {
    const prefix = `${this.region}:`;
    return this.operation.left({
      old: items[`${prefix}old`],
      new: items[`${prefix}new`],
      list: items[listKey(SESSION.user, prefix)],
    });
  }

  async #attempt(): Promise<string> {
    const { name, run, gives, says } = this.operation;
    try {
      const value = await run(this.#store);
      const other = says?.(value);
      if (other !== undefined) return other;
      // Nothing but the truth: an outage is never an empty answer.
      assert.deepEqual(value, gives, `what ${name} under "${this.fault.name}" gave`);
      return 'as usual';
    } catch (error) {
      if (!(error instanceof SessionStoreError)) throw error;
      assert.equal(error.retryable, RETRYABLE[error.code], `retryable of ${error.code}`);
      return `\`${error.code}\`${error.retryable ? ', retryable' : ''}`;
    }
  }
}

export function cells(): FaultCell[] {
  const made: FaultCell[] = [];
  for (const operation of OPERATIONS) {
    for (const fault of FAULTS) {
      if (fault.only !== undefined && fault.only !== operation.name) continue;
      for (const strikes of ['once', 'always'] as const) {
        made.push(new FaultCell(operation, fault, strikes, made.length + 1));
      }
    }
  }
  return made;
}
