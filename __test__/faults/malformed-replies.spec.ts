// No reply, however malformed, ends the process, hangs a call or is taken for an answer that it is not. Real replies are changed: each property is left out once, then
// bytes and JSON values at random. MALFORMED_RUNS says how many there are for each operation, with other seeds than npm test's; MALFORMED_SEED repeats one.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type DynamoDBSessionStore, type SessionStoreConfig, SessionStoreError } from 'connect-dynamodb-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { failing } from '../support/failures.ts';
import { OPERATIONS } from '../support/fault-cells.ts';
import { type Listening, startHttp } from '../support/http-server.ts';
import { Random } from '../support/random.ts';
import { changedBytes, changedJson, lacking } from '../support/spoilt.ts';
import { USERS } from '../support/user-lists.ts';

// One attempt a call: what is malformed is malformed.
process.env.AWS_MAX_ATTEMPTS = '1';

const { MALFORMED_RUNS, MALFORMED_SEED } = process.env;
const RUNS = MALFORMED_SEED === undefined ? Number(MALFORMED_RUNS ?? 80) : 1;
const first = Number(MALFORMED_SEED ?? (MALFORMED_RUNS === undefined ? 77_110_932 : randomInt(2 ** 31)));

/** What a call may fail with because its answer was malformed: an answer that was understood may say any of AWS's errors. */
const CODES =
  /^ERR_(DYNAMODB|KMS)_|^ERR_(INTEGRITY|VERSION|SERIALIZATION|TABLE_SCHEMA|TABLE_NOT_FOUND|CREDENTIALS|ACCESS_DENIED)$/;

interface Reply {
  status: number;
  body: Buffer;
}

/** What is sent instead of a reply; nothing if it has no such damage to it. */
type Damage = (answer: Buffer) => Reply | undefined;

interface Spoilt {
  operation: string;
  damage: Damage;
  sent?: Reply;
}

function atRandom(seed: number): Damage {
  const random = new Random(seed);
  return (answer) => ({
    body: random.chance(0.5) ? changedJson(random, answer) : changedBytes(random, answer),
    status: Number(random.weighted({ 200: 8, 400: 2, 500: 1, 204: 1 })),
  });
}

function without(part: number): Damage {
  return (answer) => {
    const body = lacking(part, answer);
    return body && { status: 200, body };
  };
}

/** Whether this is a whole answer that there is no such item, or that its time is over. */
function saysGone({ status, body }: Reply): boolean {
  if (status !== 200) return false;
  const { Item: item } = JSON.parse(body.toString());
  return item === undefined || item === null || Number(item.ttl.N) <= Date.now() / 1000;
}

describe('replies that are malformed', () => {
  let backend: AwsBackend;
  let front: Listening;
  let kms: Listening;
  let spoilt: Spoilt | undefined;
  before(async () => {
    backend = await startAws();
    [front, kms] = await Promise.all([backend.aws.dynamodb, backend.aws.kms].map(spoiling));
  });
  after(async () => {
    await backend.stop();
    await Promise.all([front.close(), kms.close()]);
  });

  function spoiling(target: string): Promise<Listening> {
    return startHttp(async (request, response) => {
      const operation = String(request.headers['x-amz-target']).split('.')[1];
      const body = Buffer.concat(await request.toArray());
      const { host, connection, ...headers } = request.headers as Record<string, string>;
      const reply = await fetch(target, { method: 'POST', headers, body });
      let answer: Buffer = Buffer.from(await reply.arrayBuffer());
      let status = reply.status;
      const spoiltBody = spoilt?.operation === operation && spoilt.damage(answer);
      if (spoiltBody) {
        answer = spoiltBody.body;
        status = spoiltBody.status;
        spoilt!.sent = { status, body: status === 204 ? Buffer.alloc(0) : answer };
      }
      const given = Object.fromEntries(reply.headers);
      response.writeHead(status, status === 204 ? given : { ...given, 'content-length': answer.length }).end(answer);
    });
  }

  const store = (options: SessionStoreConfig = {}) =>
    backend.store({ dynamodbEndpoint: front.url, kmsEndpoint: kms.url, touchAfter: 0, ...options });

  async function outcome(own: DynamoDBSessionStore, run: (store: DynamoDBSessionStore) => Promise<unknown>): Promise<string> {
    try {
      await run(own);
      return 'success';
    } catch (error) {
      assert.ok(error instanceof SessionStoreError, String(error));
      assert.match(error.code, CODES);
      return error.code;
    }
  }

  /** What a success must be true of. */
  const understood: Record<string, (value: any, sent: Reply | undefined, own: DynamoDBSessionStore) => unknown> = {
    GetItem: isTheSession,
    Decrypt: isTheSession,
    /** Damage to the items changes how many there are, but the answer that holds none, or one without its key, is none. */
    Scan(value, sent) {
      if (!sent) return;
      const { Items: items } = JSON.parse(sent.body.toString());
      assert.deepEqual(items.filter(hasKey), items);
      assert.equal(value, items.length);
    },
    BatchWriteItem: (_value, sent) => sent && assert.deepEqual(JSON.parse(sent.body.toString()).UnprocessedItems, {}),
    /** What the store can still read must not be unreadable to others; values of the two keys that do not belong together are for TLS to find. */
    async GenerateDataKey(_value, sent, own) {
      spoilt = undefined;
      assert.deepEqual(await own.get('new'), { user: 'Ada' });
      const { CiphertextBlob: wrapped } = JSON.parse(sent?.body.toString() ?? '{"CiphertextBlob":"x"}');
      assert.ok(wrapped, 'a data key that is wrapped by nothing');
    },
  };

  /** Whether a table can hold an item with this key. */
  function hasKey(item: any): boolean {
    const key = item?.sessionId?.S;
    return typeof key === 'string' && key !== '' && Buffer.byteLength(key) <= 2048;
  }

  /** A session is what was saved, whatever the reply was: it is authenticated. */
  function isTheSession(value: any, sent: Reply | undefined) {
    if (value === null) assert.ok(saysGone(sent!), `no session: ${sent!.body}`);
    else assert.equal(value.user, 'Ada');
  }

  /** Answers every `operation` with what `make` makes of the answer until the test ends. */
  function change(t: TestContext, operation: string, make: (answer: any) => object) {
    const damage: Damage = (answer) => ({
      status: 200,
      body: Buffer.from(JSON.stringify(make(JSON.parse(answer.toString())))),
    });
    spoilt = { operation, damage };
    t.after(() => {
      spoilt = undefined;
    });
  }

  for (const [title, next] of [
    ['nowhere', { other: { S: 'x' } }],
    ['to something else than a session id', { sessionId: { N: '1' } }],
    ['where it came from', { sessionId: { S: 'old' } }],
  ] as const) {
    it(`to Scan that lead ${title} are failures, and no end of the table`, { timeout: 300_000 }, async (t) => {
      await backend.store().set('old', { user: 'Ada' });
      const own = store();
      change(t, 'Scan', (answer) => ({ ...answer, LastEvaluatedKey: next }));
      for (const method of ['length', 'ids', 'all', 'clear'] as const) await failing(own[method](), 'ERR_DYNAMODB_UNAVAILABLE');
    });
  }

  for (const [title, key] of [
    ['no key', {}],
    ['a key that is no string', { sessionId: { N: '1' } }],
    ['an empty key', { sessionId: { S: '' } }],
    ['a key that is too long', { sessionId: { S: 'x'.repeat(2049) } }],
  ] as const) {
    it(`to Scan with an item that has ${title} are failures, and the session in it is not passed by`, {
      timeout: 300_000,
    }, async (t) => {
      for (const prefix of ['', 'app:']) {
        await backend.store({ prefix }).set('old', { user: 'Ada' });
        const own = store({ prefix });
        change(t, 'Scan', (answer) => ({
          ...answer,
          Items: answer.Items.map(({ sessionId, ...rest }: any, index: number) => ({
            ...rest,
            ...(index > 0 ? { sessionId } : key),
          })),
        }));
        for (const method of ['length', 'ids', 'all', 'clear'] as const) await failing(own[method](), 'ERR_DYNAMODB_UNAVAILABLE');
        spoilt = undefined;
        assert.equal(await own.length(), 1, 'clear removed something');
        await own.clear();
      }
    });
  }

  it('to GetItem that are of another session are refused', async (t) => {
    for (const recordVersion of [1, 2] as const) {
      for (const sid of ['mine', 'theirs']) await backend.store({ recordVersion }).set(sid, { user: sid });
      let theirs: object = {};
      change(t, 'GetItem', (answer) => {
        theirs = answer;
        return answer;
      });
      const own = store();
      assert.deepEqual(await own.get('theirs'), { user: 'theirs' });
      const meant = theirs;
      change(t, 'GetItem', () => meant);
      await failing(own.get('mine'), 'ERR_INTEGRITY');
      await failing(own.record('mine'), 'ERR_INTEGRITY');
      await failing(
        own.update('mine', () => assert.fail('it was read')),
        'ERR_INTEGRITY',
      );
      spoilt = undefined;
      assert.deepEqual(await own.get('mine'), { user: 'mine' });
    }
  });

  for (const { name, call, users: isOfUsers, run } of OPERATIONS) {
    const users = isOfUsers && USERS;
    it(`to ${name} (${call}) are failures with a code, or answers that were not changed where it matters`, {
      timeout: 300_000,
    }, async (t) => {
      const seen: Record<string, number> = {};
      /** Whether there was such damage to do. */
      const once = async (damage: Damage): Promise<boolean> => {
        spoilt = undefined;
        await backend.store({ users }).set('old', { user: 'Ada' });
        const own = store({ users }); // without cached keys
        const current: Spoilt = { operation: name, damage };
        spoilt = current;
        const result = await outcome(own, async () => {
          const value = await run(own);
          await understood[name]?.(value, current.sent, own);
        });
        seen[result] = (seen[result] ?? 0) + 1;
        spoilt = undefined;
        assert.equal(await outcome(own, (store) => store.ping()), 'success', 'the store works no more');
        await own.close();
        return current.sent !== undefined;
      };
      for (let part = 0; MALFORMED_SEED === undefined && (await once(without(part))); part++);
      for (let seed = first; seed < first + RUNS; seed++) {
        try {
          await once(atRandom(seed));
        } catch (error: any) {
          throw new Error(`seed ${seed} fails (MALFORMED_SEED=${seed} repeats it): ${error.message}`, { cause: error });
        }
      }
      assert.ok(
        Object.keys(seen).some((code) => code !== 'success'),
        'nothing was malformed',
      );
      t.diagnostic(JSON.stringify(seen));
    });
  }
});
