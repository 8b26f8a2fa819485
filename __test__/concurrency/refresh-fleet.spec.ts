// Processes that need the same token at the same time, behind faults, with clocks that differ, and killed in the middle: the provider, which revokes a
// login when a refresh token comes twice, never sees one twice. REFRESH_ROUNDS says
// how many tokens run out.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it, type TestContext } from 'node:test';
import { type AwsBackend, startAws } from '../support/backends.ts';
import { OauthProvider, renewing } from '../support/oauth-provider.ts';
import { Program } from '../support/program.ts';
import { Random } from '../support/random.ts';
import type { Answer, Order } from '../support/refresh-program.ts';
import { StoppingProxy } from '../support/stopping-proxy.ts';

const ROUNDS = Number(process.env.REFRESH_ROUNDS ?? 20);
const LIMIT = { timeout: 60_000 + ROUNDS * 2000 };
const REQUESTS = 12;

describe('a fleet that needs a token', LIMIT, () => {
  let backend: AwsBackend;
  let sids = 0;
  before(async () => {
    backend = await startAws();
  });
  after(() => backend.stop());
  beforeEach(() => backend.aws.clearFaults());

  async function scene(t: TestContext) {
    const provider = await OauthProvider.start(t);
    const proxy = await StoppingProxy.start(backend.aws.dynamodb);
    t.after(() => proxy.close());
    const store = backend.store();
    const login = async () => {
      const sid = `fleet-${++sids}`;
      await store.set(sid, { cookie: {}, tokens: provider.login(60_000) });
      return sid;
    };
    const server = (clock = 0) => {
      const program = new Program('refresh-program', { ...backend.config, dynamodbEndpoint: proxy.url }, provider.url, clock);
      t.after(() => program.end('SIGKILL'));
      const send = (order: Order) => program.write(JSON.stringify(order));
      const ask = async (order: Order): Promise<Answer> => {
        send(order);
        return JSON.parse(await program.line());
      };
      return { program, send, ask };
    };
    const current = async (sid: string) => ((await store.get(sid)) as any).tokens;
    return { provider, proxy, store, login, server, current };
  }

  it(`gets it from one request: two processes with ${REQUESTS} requests each, ${ROUNDS} rounds`, async (t) => {
    const { provider, login, server, current } = await scene(t);
    const servers = [server(), server()];
    for (let round = 1; round <= ROUNDS; round++) {
      const sid = await login();
      const answers = await Promise.all(servers.map(({ ask }) => ask({ sid, requests: REQUESTS })));
      const { access, refresh } = await current(sid);
      for (const { got, written } of answers) {
        assert.deepEqual(got, Array(REQUESTS).fill(access));
        assert.equal(written, 0, 'the saves at the end of the requests have nothing to write');
      }
      assert.ok(provider.takes(refresh));
      assert.equal(provider.requests, round);
    }
    assert.equal(provider.revoked, 0);
  });

  it(`gets it from one request also under faults: throttling, outages, lost replies, ${ROUNDS} rounds`, async (t) => {
    const { provider, proxy, login, server, current } = await scene(t);
    const servers = [server(), server()];
    const random = new Random(4_711);
    const throttled = { status: 400, code: 'ProvisionedThroughputExceededException' };
    const down = { status: 500, code: 'InternalServerError' };
    const faults: Array<() => unknown> = [
      () => backend.aws.fault({ action: 'dynamodb:PutItem', ...throttled, times: random.whole(1, 8) }),
      () => backend.aws.fault({ action: 'dynamodb:GetItem', ...down, times: random.whole(1, 8) }),
      () => backend.aws.fault({ action: 'dynamodb:PutItem', ...down, times: random.whole(1, 8) }),
      () => backend.aws.fault({ action: 'dynamodb:DeleteItem', ...down, times: random.whole(1, 8) }),
      () => backend.aws.fault({ action: 'kms:Decrypt', status: 400, code: 'ThrottlingException', times: random.whole(1, 8) }),
      () => proxy.lose('PutItem', random.whole(1, 6)),
      () => proxy.lose('GetItem', random.whole(1, 6)),
      () => proxy.lose('DeleteItem', random.whole(1, 6)),
    ];
    let failures = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      const sid = await login();
      // Some meet the beginning, some the write of the new token.
      const late = random.chance(0.5) ? provider.hold('answer') : undefined;
      if (!late) for (let count = random.whole(1, 2); count > 0; count--) await random.pick(faults)();
      const running = Promise.all(servers.map(({ ask }) => ask({ sid, requests: REQUESTS, options: { leaseSeconds: 2 } })));
      if (late) {
        await late.reached;
        for (let count = random.whole(1, 2); count > 0; count--) await random.pick(faults)();
        late.pass();
      }
      let answers = await running;
      for (let again = 0; answers.some(({ got }) => got.some((one) => one.startsWith('ERR_'))); again++) {
        failures++;
        assert.ok(again < 5, JSON.stringify(answers));
        answers = await Promise.all(servers.map(({ ask }) => ask({ sid, requests: REQUESTS, options: { leaseSeconds: 2 } })));
      }
      await backend.aws.clearFaults();
      const { access, refresh } = await current(sid);
      for (const { got } of answers) assert.deepEqual(got, Array(REQUESTS).fill(access));
      assert.ok(provider.takes(refresh));
      assert.deepEqual([provider.requests, provider.refreshes, provider.revoked], [round, round, 0]);
    }
    t.diagnostic(`${failures} of ${ROUNDS} rounds had calls that failed and were repeated`);
  });

  it('renews it with the current refresh token only, if clocks differ by seconds', async (t) => {
    const { provider, login, server, current } = await scene(t);
    const servers = [server(-3000), server(), server(3000)];
    for (let round = 1; round <= 10; round++) {
      const sid = await login();
      provider.lifetime = 2000; // stale for one of them as soon as it is new
      const answers = await Promise.all(servers.map(({ ask }) => ask({ sid, requests: 4 })));
      for (const { got } of answers) for (const one of got) assert.match(one, /^access-/);
      assert.ok(provider.takes((await current(sid)).refresh));
    }
    assert.equal(provider.revoked, 0);
    assert.equal(provider.requests, provider.refreshes);
  });

  it('takes over when the lease ends of a process that was killed before it asked the provider', async (t) => {
    const { provider, login, server, current } = await scene(t);
    const [victim, other] = [server(), server()];
    const sid = await login();
    victim.send({ sid, requests: 1, stops: true, options: { leaseSeconds: 1 } });
    assert.equal(await victim.program.line(), 'asks');
    const answer = other.ask({ sid, requests: 3 });
    victim.program.signal('SIGKILL');
    const { got } = await answer;
    const { access, refresh } = await current(sid);
    assert.deepEqual(got, Array(3).fill(access));
    assert.ok(provider.takes(refresh));
    assert.equal(provider.requests, 1);
  });

  it('finds the token of a process that was killed after the write, without waiting for its lease', async (t) => {
    const { provider, proxy, login, server, current } = await scene(t);
    const [victim, other] = [server(), server()];
    const sid = await login();
    const release = proxy.hold('DeleteItem', 'request');
    victim.send({ sid, requests: 1, options: { leaseSeconds: 3600 } });
    await release.reached;
    victim.program.signal('SIGKILL');
    const { got } = await other.ask({ sid, requests: 3 });
    assert.deepEqual(got, Array(3).fill((await current(sid)).access));
    assert.equal(provider.requests, 1);
    release.pass();
  });

  it('loses it if the process is killed between the answer of the provider and the write, as docs/tokens.md says', async (t) => {
    const { provider, login, server } = await scene(t);
    const [victim, other] = [server(), server()];
    const sid = await login();
    const answer = provider.hold('answer');
    victim.send({ sid, requests: 1, options: { leaseSeconds: 1 } });
    await answer.reached;
    await victim.program.end('SIGKILL');
    answer.pass();
    assert.deepEqual((await other.ask({ sid, requests: 2 })).got, ['invalid_grant', 'invalid_grant']);
    assert.equal(provider.revoked, 1);
  });

  it('is not kept waiting by a process that failed: the next one asks the provider', async (t) => {
    const { provider, store, login, server, current } = await scene(t);
    const other = server();
    const sid = await login();
    provider.fail(1);
    await assert.rejects(store.refresh(sid, { ...renewing(provider.url), leaseSeconds: 3600 }), /temporarily_unavailable/);
    assert.deepEqual((await other.ask({ sid, requests: 2 })).got, Array(2).fill((await current(sid)).access));
  });
});
