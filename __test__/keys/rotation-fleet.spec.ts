// A change of the KMS key in a rolling deployment: at every moment, processes of two configurations serve the same sessions.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CreateAliasCommand, type KMSClient, UpdateAliasCommand } from '@aws-sdk/client-kms';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { Browser } from '../support/browser.ts';
import { PlainStore } from '../support/plain-store.ts';
import { Program } from '../support/program.ts';
import { TableItems } from '../support/table-items.ts';

const arn = (resource: string) => `arn:aws:kms:us-east-1:232282424912:${resource}`;
const OLD = arn('key/aaaaaaaa-0000-0000-0000-000000000000');
const NEW = arn('key/bbbbbbbb-0000-0000-0000-000000000000');
const ALIAS = arn('alias/sessions');

/** One process of the fleet; what it logs as failed is counted. */
class Instance {
  readonly #program: Program;
  origin = '';

  constructor(backend: AwsBackend, kmsKeyArn: string[], recordVersion: 1 | 2) {
    // What was read is not kept, as in a process that meets a session for the first time.
    const config = { ...backend.config, recordVersion, kmsKeyArn, touchAfter: 0, keyCache: { maxEntries: 1 } };
    this.#program = new Program('race-program', config, kmsKeyArn.join());
  }

  async ready(): Promise<void> {
    this.origin = await this.#program.line();
  }

  async stop(): Promise<string> {
    return (await this.#program.end('SIGTERM')).stderr;
  }
}

/** A visitor whose requests go to whichever process the test says. */
class Visitor {
  readonly #browser = new Browser('');
  #visits = 0;

  async logIn(at: Instance, user: string): Promise<void> {
    this.#browser.origin = at.origin;
    assert.equal((await this.#browser.post(`/login/${user}`)).status, 200);
  }

  /** Reads the session there, and then saves it changed. */
  async visit(at: Instance): Promise<void> {
    assert.equal(await this.read(at), 200);
    assert.deepEqual((await this.#browser.post('/visit')).body, { visits: ++this.#visits });
  }

  /** The status of the answer; another than 200 is not what a visitor should see. */
  async read(at: Instance): Promise<number> {
    this.#browser.origin = at.origin;
    const { status, body } = await this.#browser.get('/me');
    if (status === 200) assert.equal(body.visits, this.#visits);
    return status;
  }
}

for (const recordVersion of [1, 2] as const) {
  describe(`a fleet that changes its KMS key, with records of version ${recordVersion}`, { timeout: 300_000 }, () => {
    let backend: AwsBackend;
    let kms: KMSClient;
    let plain: PlainStore;
    let items: TableItems;
    let instances: Instance[];
    let visitors: Visitor[];
    beforeEach(async () => {
      backend = await startAws([OLD, NEW].flatMap((key) => ['--key-arn', key]));
      plain = new PlainStore(backend.aws, { keyArn: OLD });
      kms = plain.kms;
      items = new TableItems(backend.aws);
      instances = [];
      visitors = [];
    });
    afterEach(async () => {
      await Promise.all(instances.map((instance) => instance.stop()));
      items.close();
      plain.close();
      await backend.stop();
    });

    async function start(...kmsKeyArn: string[]): Promise<Instance> {
      const instance = new Instance(backend, kmsKeyArn, recordVersion);
      instances.push(instance); // stopped even if it never gets ready
      await instance.ready();
      return instance;
    }

    /** Two processes serve everybody there is, and a newcomer of each; every session goes to and fro. */
    async function serveTogether(one: Instance, other: Instance): Promise<void> {
      for (const at of [one, other]) {
        const visitor = new Visitor();
        await visitor.logIn(at, `user-${visitors.length}`);
        visitors.push(visitor);
      }
      for (const at of [one, other, one, other]) for (const visitor of visitors) await visitor.visit(at);
    }

    /** Under which keys the data keys in the table are wrapped: the servers' ciphertext begins with the key's id. */
    async function sealedBy(): Promise<string[]> {
      const keys = Object.values(await items.all()).map(({ encryptedKey }: any) => {
        const bytes = encryptedKey.B ? Buffer.from(encryptedKey.B) : Buffer.from(encryptedKey.S, 'base64');
        const id = bytes.subarray(0, 36).toString();
        return [OLD, NEW].find((key) => key.endsWith(id)) ?? assert.fail(id);
      });
      return [...new Set(keys)];
    }

    it('in three steps: every process opens what every other one sealed, at every moment', async () => {
      const before = await start(OLD);
      const first = await start(OLD, NEW);
      await serveTogether(before, first);
      assert.deepEqual(await sealedBy(), [OLD]);
      const second = await start(NEW, OLD);
      await serveTogether(first, second);
      for (const visitor of visitors) await visitor.visit(second);
      assert.deepEqual(await sealedBy(), [NEW], 'sessions move with their next save');
      const third = await start(NEW);
      await serveTogether(second, third);
      assert.deepEqual(await sealedBy(), [NEW]);
    });

    it('in one step: a process that is still to be deployed opens nothing of those that are', async () => {
      const before = await start(OLD);
      for (const keys of [[NEW, OLD], [NEW]]) {
        const after = await start(...keys);
        const visitor = new Visitor();
        await visitor.logIn(after, 'ada');
        await visitor.visit(after);
        assert.equal(await visitor.read(before), 500);
        assert.equal(await visitor.read(after), 200, 'nothing was lost');
      }
    });

    it('and takes the old key away only when its sessions were saved again or have ended', async () => {
      const [second, third] = [await start(NEW, OLD), await start(NEW)];
      const before = await start(OLD, NEW);
      const visitor = new Visitor();
      await visitor.logIn(before, 'ada');
      assert.equal(await visitor.read(third), 500);
      await visitor.visit(second);
      assert.equal(await visitor.read(third), 200);
    });

    it('by moving an alias: with the old key behind the alias, every process opens everything before and after', async () => {
      await kms.send(new CreateAliasCommand({ AliasName: 'alias/sessions', TargetKeyId: OLD }));
      const [before, first] = [await start(ALIAS), await start(ALIAS, OLD)];
      await serveTogether(before, first);
      const other = await start(ALIAS, OLD);
      await kms.send(new UpdateAliasCommand({ AliasName: 'alias/sessions', TargetKeyId: NEW }));
      await serveTogether(first, other);
      for (const visitor of visitors) await visitor.visit(other);
      assert.deepEqual(await sealedBy(), [NEW]);
      await serveTogether(other, await start(ALIAS));
    });

    it('by moving an alias that is the only key: no process opens the sessions of before', async () => {
      await kms.send(new CreateAliasCommand({ AliasName: 'alias/sessions', TargetKeyId: OLD }));
      const [one, other] = [await start(ALIAS), await start(ALIAS)];
      const visitor = new Visitor();
      await visitor.logIn(one, 'ada');
      await kms.send(new UpdateAliasCommand({ AliasName: 'alias/sessions', TargetKeyId: NEW }));
      assert.equal(await visitor.read(other), 500);
      assert.equal(await visitor.read(await start(ALIAS, OLD)), 200, 'nothing was lost');
    });
  });
}
