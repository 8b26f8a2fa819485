// The demo's page "What happens": its buttons are pressed, and what the page says of the calls is compared with the servers' own counts.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { DemoGateway, example } from '../support/demo-gateway.ts';

const FEED = '/calls/latest';
const SETTINGS = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  SESSIONS_TABLE: 'sessions',
};

/** A row of the page, by the labels of its cells. */
type Row = Record<'Answered' | 'Call' | 'Session' | 'Result' | 'Requests' | 'Data key' | 'Time', string> & { number: number };

describe("the demo's page of calls", () => {
  let backend: AwsBackend;
  let folder: string;
  let gateway: DemoGateway;
  before(async () => {
    backend = await startAws();
    const { dynamodb, kms, keyArns } = backend.aws;
    folder = await mkdtemp(join(tmpdir(), 'demo-calls-'));
    const own = { AWS_ENDPOINT_URL_DYNAMODB: dynamodb, AWS_ENDPOINT_URL_KMS: kms, KMS_KEY_ARN: keyArns[0] };
    gateway = new DemoGateway({ ...SETTINGS, ...own, SESSIONS_FOLDER: folder }, ['--aws']);
  });
  after(async () => {
    await gateway.kill();
    await backend.stop();
    await rm(folder, { recursive: true });
  });
  // A process of its own for every test, so that the page has nothing but the test's calls.
  beforeEach(async () => {
    await gateway.kill();
    await backend.aws.clearFaults();
    await gateway.start();
    await until(() => rows(), 1); // its ping
    await backend.aws.reset();
  });

  async function text(path = FEED): Promise<string> {
    const answer = await gateway.send('GET', path);
    assert.equal(answer.status, 200);
    return answer.text();
  }

  /** The latest first. */
  function rowsOf(page: string): Row[] {
    return [...page.matchAll(/<tr data-number="(\d+)">(.*?)<\/tr>/gs)].map(([, number, cells]) => {
      const texts = [...cells!.matchAll(/<td data-label="([^"]*)"[^>]*>(.*?)<\/td>/gs)].map(([, label, cell]) => [
        label!,
        cell!.replace(/<[^>]*>/g, '').trim(),
      ]);
      return { ...(Object.fromEntries(texts) as Row), number: Number(number) };
    });
  }

  async function rows(path = FEED): Promise<Row[]> {
    return rowsOf(await text(path));
  }

  /** The row whose number is the lowest after those before. */
  async function since(number: number): Promise<Row[]> {
    return (await rows()).filter((row) => row.number > number).reverse();
  }

  async function latest(): Promise<number> {
    return (await rows())[0]!.number;
  }

  /** How many requests the rows name. */
  function sent(of: Row[], service: 'DynamoDB' | 'KMS'): number {
    return of.reduce((sum, row) => sum + Number(new RegExp(`(\\d+) ${service}`).exec(row.Requests)?.[1] ?? 0), 0);
  }

  async function counted(service: 'dynamodb' | 'kms'): Promise<number> {
    const counts = Object.entries(await backend.aws.calls()).filter(([action]) => action.startsWith(`${service}:`));
    return counts.reduce((sum, [, count]) => sum + count, 0);
  }

  it('shows each request to AWS once, as the servers count them', async () => {
    const before = await latest();
    await gateway.login();
    for (let times = 0; times < 3; times++) {
      await gateway.send('GET', '/');
      await gateway.press('/refresh');
    }
    // The lease of the last renewal is given back after its answer.
    const look = async () => {
      const shown = await since(before);
      const services = [await counted('dynamodb'), await counted('kms')];
      return { shown, services, named: [sent(shown, 'DynamoDB'), sent(shown, 'KMS')] };
    };
    let looked = await look();
    for (let again = 0; again < 100 && String(looked.named) !== String(looked.services); again++) {
      await sleep(50);
      looked = await look();
    }
    const { shown, services, named } = looked;
    assert.ok(shown.length >= 10);
    assert.ok(services.every((count) => count > 0));
    assert.deepEqual(named, services);
    for (const row of shown) {
      assert.match(row.Time, /^\d+(\.\d)? ms$/);
      assert.match(row.Session, /^([0-9a-f]{8}|–)$/);
    }
    const [set] = shown.filter(({ Call }) => Call === 'set');
    assert.equal(set!.Result, 'written');
    assert.match(set!.Requests, /^1 DynamoDB, 1 KMS GenerateDataKey \d+\.\d ms, PutItem \d+\.\d ms$/);
    assert.ok(shown.some(({ Call }) => Call === 'put sealed item'));
    assert.ok(shown.some(({ Call, Result }) => Call === 'refresh' && Result !== 'failed'));
  });

  it('shows that a restarted gateway asks KMS for the data key once, and has it cached afterwards', async () => {
    await gateway.login();
    await gateway.kill();
    await gateway.start();
    await gateway.send('GET', '/me');
    await gateway.send('GET', '/me');
    const [second, first] = (await rows()).filter(({ Call }) => Call === 'get');
    assert.equal(first!['Data key'], 'not cached');
    assert.match(first!.Requests, /^1 DynamoDB, 1 KMS GetItem \S+ ms, Decrypt \S+ ms$/);
    assert.equal(second!['Data key'], 'cached');
    assert.match(second!.Requests, /^1 DynamoDB GetItem \S+ ms$/);
    assert.equal(first!.Session, second!.Session);
    const page = (await text()).replace(/<[^>]*>/g, '');
    assert.match(page, /The data key was cached in 1 of 2 calls that needed one/);
    assert.doesNotMatch(page, /local mode/);
  });

  it('shows the code of a call that failed, and its attempts', async () => {
    await gateway.login();
    await backend.aws.fault({ action: 'dynamodb:GetItem', status: 500, code: 'InternalServerError', times: 1 });
    assert.equal((await gateway.send('GET', '/me')).status, 200);
    await backend.aws.fault({ action: 'dynamodb:GetItem', status: 400, code: 'AccessDeniedException' });
    assert.equal((await gateway.send('GET', '/me')).status, 500);
    const [failed, retried] = (await rows()).filter(({ Call }) => Call === 'get');
    assert.match(retried!.Requests, /^2 DynamoDB GetItem 500 in \S+ ms, GetItem \(attempt 2\) \S+ ms$/);
    assert.equal(retried!.Result, 'found');
    assert.equal(failed!.Result, 'ERR_ACCESS_DENIED');
    assert.match(failed!.Requests, /^1 DynamoDB GetItem 400 in \S+ ms$/);
    assert.match(await text(), /class="failed">ERR_/);
  });

  it('makes no call itself, though the browser has a session', async () => {
    await gateway.login();
    const before = await rows();
    await backend.aws.reset();
    const cookies = new Map(gateway.cookies);
    for (let times = 0; times < 5; times++)
      for (const path of ['/calls', FEED]) {
        const answer = await gateway.send('GET', path);
        assert.deepEqual(answer.headers.getSetCookie(), []);
        assert.equal(answer.headers.get('cache-control'), 'no-store');
        assert.deepEqual(rowsOf(await answer.text()), before);
      }
    assert.deepEqual(gateway.cookies, cookies);
    assert.deepEqual(await backend.aws.calls(), {});
  });

  it('keeps the last 50 calls, the latest one first', async () => {
    await gateway.login();
    const before = await latest();
    for (let times = 0; times < 60; times++) await gateway.send('GET', '/me');
    const numbers = (await rows()).map(({ number }) => number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 50 }, (_, index) => before + 60 - index),
    );
  });

  it('has no session id, no signature and no token', async () => {
    await gateway.login();
    await gateway.press('/refresh');
    const { token } = (await (await gateway.send('POST', '/bearer')).json()) as { token: string };
    const start = await text('/');
    const tokens = [...start.matchAll(/<mark>(.*?)<\/mark>/g)].map(([, secret]) => secret!);
    const cookie = decodeURIComponent(gateway.cookies.get('gateway.sid')!).split('.');
    for (const path of ['/calls', FEED]) {
      const page = await text(path);
      for (const secret of [...tokens, ...cookie, token]) assert.ok(!page.includes(secret), `${path} has ${secret}`);
    }
    assert.equal(tokens.length, 2);
    assert.equal(cookie.length, 2);
  });

  it('is on the bar of every page, and follows without JavaScript', async () => {
    gateway.cookies.clear();
    assert.match(await text('/'), /<a href="\/calls">What happens<\/a>/);
    await gateway.login();
    assert.match(await text('/'), /<a href="\/calls">What happens<\/a>/);
    assert.match(await text('/calls'), /<noscript><meta http-equiv="refresh" content="3"><\/noscript>/);
  });

  /** Asks again until there are as many. */
  async function until(ask: () => Promise<Row[]>, length: number): Promise<void> {
    while ((await ask()).length < length) await sleep(20);
  }
});

describe('the example gateway', () => {
  it('looks at the channels until it is closed', async () => {
    const program = `
      import { channel, tracingChannel } from 'node:diagnostics_channel';
      const { buildGateway } = await import('./src/gateway.ts');
      const { start, end, asyncStart, asyncEnd, error } = tracingChannel('connect-dynamodb-kms:call');
      const isObserved = () => [start, end, asyncStart, asyncEnd, error, channel('connect-dynamodb-kms:request')].some((one) => one.hasSubscribers);
      const app = await buildGateway({ store: { get() {}, set() {}, destroy() {} }, cookieSecret: 'x'.repeat(32), place: {} });
      const open = isObserved();
      await app.close();
      console.log(JSON.stringify({ open, closed: isObserved() }));`;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: example });
    assert.deepEqual(JSON.parse(stdout), { open: true, closed: false });
  });
});
