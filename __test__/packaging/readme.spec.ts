// Every snippet of the README and of the pages in docs, run as it stands there against the AWS servers.

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { AwsLocal } from '../support/aws-local.ts';
import { freePort } from '../support/free-port.ts';

const here = fileURLToPath(new URL('..', import.meta.url));
const repository = join(here, '..');
const inDocs = (await readdir(join(repository, 'docs'))).filter((name) => name.endsWith('.md'));
const names = ['README.md', ...inDocs.map((name) => join('docs', name))];
const pages = await Promise.all(names.map((name) => readFile(join(repository, name), 'utf8')));

const ROTATED_KEY = 'arn:aws:kms:eu-west-1:111122223333:key/0f2d1c3b-6a5e-4d7c-8b9a-1e2f3a4b5c6d';

/** The code blocks below a `<!-- test: NAME -->` comment. */
const marked = pages.flatMap((page) =>
  [...page.matchAll(/<!-- test: (\S+) -->\n```(?:ts|js|sh)\n(.*?)```/gs)].map(([, name, code]) => [name!, code!] as const),
);
const snippets = new Map(marked);
const used = new Set<string>();
/** Those for a shell, not for Node.js. */
const SHELL = ['find', 'environment'];
/** Those that other specs run: operations/import.spec.ts, operations/probes.spec.ts. */
const ELSEWHERE = ['moving-in', 'probes', 'probes-express', 'under-pressure'];
/** JavaScript, and what needs a package that the tests do not have. */
const UNTYPED = ['moving-in', 'redis'];

function snippet(name: string): string {
  const code = snippets.get(name);
  assert.ok(code, `no page has a snippet ${name}`);
  used.add(name);
  return code;
}

/** What the README has its reader export. */
const exported = Object.fromEntries(
  [...snippet('environment').matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name!, value!]),
);
const { KMS_KEY_ARN: KEY, SESSIONS_TABLE: TABLE } = exported as { KMS_KEY_ARN: string; SESSIONS_TABLE: string };

let aws: AwsLocal;
let folder: string;
const children: ChildProcess[] = [];

function environment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ...exported,
    AWS_ENDPOINT_URL_DYNAMODB: aws.dynamodb,
    AWS_ENDPOINT_URL_KMS: aws.kms,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    USERS_SECRET: 'a secret of the users',
    SESSION_SECRET: 'a secret with at least thirty-two characters',
  };
}

/** Writes code where it can import what the tests import. */
async function place(name: string, code: string): Promise<string> {
  const file = join(folder, `${name}.ts`);
  await writeFile(file, code);
  return file;
}

/** What a snippet prints, with more lines at its end. */
async function output(name: string, more = ''): Promise<string> {
  const file = await place(name, `${snippet(name)}\n${more}`);
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', file], { cwd: folder, env: environment() });
  return stdout;
}

/** Starts a server from a file and waits until it answers; gives its address. */
async function serve(file: string, port: number): Promise<{ url: string; child: ChildProcess }> {
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    cwd: folder,
    env: environment(),
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + 120_000; Date.now() < deadline && child.exitCode === null; ) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    );
    if (answered) return { url, child };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${file} does not answer`);
}

async function assertLogin(url: string): Promise<void> {
  const login = await fetch(`${url}/login`, { method: 'POST' });
  assert.equal(login.status, 200);
  await login.arrayBuffer(); // express-session keeps the last byte back until the session is saved
  const cookie = login.headers.getSetCookie().at(-1)!.split(';')[0]!;
  const me = await fetch(`${url}/me`, { headers: { cookie } });
  assert.deepEqual(await me.json(), { user: 'ada' });
  assert.deepEqual(await (await fetch(`${url}/me`)).json(), { user: null });
}

describe('the README and the pages in docs', () => {
  before(async () => {
    const keys = [KEY, ROTATED_KEY].flatMap((arn) => ['--key-arn', arn]);
    aws = await AwsLocal.start(['--table', TABLE, ...keys]);
    folder = await mkdtemp(join(here, 'readme-'));
    await writeFile(join(folder, 'package.json'), '{"type": "module"}');
  });

  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await aws.stop();
    await rm(folder, { recursive: true });
  });

  for (const name of ['fastify', 'express']) {
    it(`logs a user in with the lines for ${name}`, async () => {
      const port = await freePort();
      const file = await place(name, snippet(name).replace('3000', String(port)));
      await assertLogin((await serve(file, port)).url);
      assert.ok((await aws.calls())['dynamodb:PutItem']! > 0, 'the session went into the table');
    });
  }

  it('has examples that set their own table and key, whatever the environment has', () => {
    for (const name of ['fastify', 'express']) {
      assert.ok(snippet(name).includes(`tableName: '${TABLE}'`), name);
      assert.ok(snippet(name).includes(`kmsKeyArn: '${KEY}'`), name);
    }
  });

  it('runs local mode', async () => {
    const text = await output('local');
    assert.match(text, /^\{ cookie: \{\}, user: 'ada' \}\n/);
    assert.match(text, /encryptedData: '[A-Za-z0-9+/=]+'/);
  });

  it('runs the methods', async () => {
    assert.equal(await output('methods'), "1 [ 'a' ] [ { cookie: {}, user: 'ada', id: 'a' } ]\nnull\n");
  });

  it('lists the sessions of a user, and ends them', async () => {
    const lines = snippet('users').match(/(?<=\); \/\/ ).*/g)!;
    assert.equal(lines.length, 3);
    assert.equal(await output('users'), `${lines.join('\n')}\n`);
  });

  for (const name of ['users-express', 'users-fastify']) {
    it(`shows a user's devices, and logs out the others, with the lines for ${name}`, async () => {
      const port = await freePort();
      const { url } = await serve(await place(name, snippet(name).replace('3000', String(port))), port);
      const send = async (method: string, path: string, cookie?: string, device = 'phone') => {
        const headers = { 'user-agent': device, 'content-type': 'application/x-www-form-urlencoded', ...(cookie && { cookie }) };
        const form = name === 'users-express' && path === '/login' ? { body: 'username=grace&password=correct' } : {};
        const { 'content-type': _, ...bare } = headers;
        const reply = await fetch(url + path, { method, headers: form.body ? headers : bare, ...form });
        const [set] = reply.headers.getSetCookie();
        return { status: reply.status, body: (await reply.json()) as any, cookie: set?.split(';', 1)[0] };
      };
      const { cookie: laptop } = await send('POST', '/login', undefined, 'laptop');
      const { cookie: phone } = await send('POST', '/login');
      const shown = await send('GET', '/devices', laptop);
      const devices = shown.body.map(({ device, isThis }: any) => ({ device, isThis }));
      assert.deepEqual(devices, [
        { device: 'phone', isThis: false },
        { device: 'laptop', isThis: true },
      ]);
      if (name === 'users-express') {
        const { cookie: tablet } = await send('POST', '/login', undefined, 'tablet');
        const [first] = (await send('GET', '/devices', laptop)).body;
        assert.deepEqual((await send('POST', `/devices/${first.name}/end`, laptop)).body, { ended: true });
        assert.deepEqual((await send('POST', `/devices/${first.name}/end`, laptop)).body, { ended: false });
        assert.equal((await send('GET', '/devices', tablet)).status, 401);
      }
      assert.deepEqual((await send('POST', '/password', laptop)).body, { ended: 1 });
      assert.equal((await send('GET', '/devices', phone)).status, 401);
      assert.equal((await send('GET', '/devices', laptop)).body.length, 1);
    });
  }

  it('shows the calls and requests of the channels', async () => {
    const lines = snippet('channels').match(/(?<=^\/\/ ).*/gm)!;
    assert.equal(lines.length, 5);
    assert.equal(await output('channels'), `${lines.join('\n')}\n`);
  });

  it('reads calls and latencies', async () => {
    assert.equal(await output('latencies'), '1 0 { found: 1 }\ntrue\n3\n');
  });

  it('runs the single-use code', async () => {
    assert.equal(await output('items'), "{ user: 'ada', tries: 1 }\nnull\n");
  });

  it('renews a token once', async () => {
    assert.equal(await output('refresh'), "[ 'new 1', 'new 1', 'new 1' ]\n");
  });

  it('runs the test of an application', async () => {
    assert.equal(await output('testing'), 'ada\n503\n');
  });

  it('has the log lines with their fields', async () => {
    const printed = (await output('logs')).split('\n').find((line) => line.includes('connect-dynamodb-kms'))!;
    const { level, operation, session, code, requestId, msg } = JSON.parse(printed);
    const shown = JSON.parse(/^\/\/ (\{.*\})$/m.exec(snippet('logs'))![1]!);
    const { requestId: _, msg: text, ...fields } = shown;
    assert.deepEqual({ level, operation, session, code }, fields);
    assert.ok(requestId.length > 0);
    assert.ok(msg.startsWith(text.replace('…', session)));
    const own = JSON.parse(await output('logs-json'));
    assert.deepEqual([own.level, own.operation, own.code], ['warn', 'length', 'ERR_TABLE_NOT_FOUND']);
  });

  it('runs with OpenTelemetry, and leaves it to the application how it ends', async () => {
    // A listener would keep the signal from ending the process.
    assert.equal(await output('opentelemetry', "console.log(process.listenerCount('SIGTERM'));"), '0\n');
  });

  it('answers Prometheus', async () => {
    const port = await freePort();
    const { url } = await serve(await place('prometheus', snippet('prometheus').replace('9464', String(port))), port);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /^connect_dynamodb_kms_requests_total\{service="kms"\} 0$/m);
  });

  it('runs the envelope', async () => {
    assert.equal(await output('envelope'), 'a refresh token\n');
  });

  it('runs the envelope with a context', async () => {
    const lines = [...snippet('create-envelope').matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, line]) => line!);
    const printed = (await output('create-envelope')).replace(/\s+/g, ' ').trim();
    assert.equal(printed, lines.join(' '));
  });

  it('runs the change of the key', async () => {
    assert.equal(await output('rotation'), '1\n');
  });

  it('runs the migration of items without version', async () => {
    assert.equal(await output('unversioned'), '2\n');
  });

  it('runs the error handling', async () => {
    const lines = snippet('errors').match(/(?<=\/\/ ).*/g)!;
    assert.ok((await output('errors')).endsWith(`${lines.join('\n')}\n`));
    assert.equal(lines.length, 2);
  });

  it('runs the read that somebody may give up', async () => {
    assert.equal(await output('signal'), 'null\n');
  });

  it('runs the change of a session', async () => {
    assert.equal(await output('update'), "{ google: 'new', slack: 'kept' }\n");
  });

  it('runs the refresh under a lease', async () => {
    assert.equal(await output('lock'), "[ 'new 1', 'new 1' ]\n");
  });

  it('finds the trap in a running application', async () => {
    assert.equal(await output('check'), "[ 'GET /wrong' ]\n");
  });

  it('have the adapter that is tested', async () => {
    assert.equal(snippet('mgcrea'), await readFile(join(here, 'support', 'mgcrea-adapter.ts'), 'utf8'));
  });

  it('shows the trap: without the guard the wrong handler answers twice, which the process outlives; the right one answers', async () => {
    const port = await freePort();
    await place('trap', snippet('trap'));
    const file = await place(
      'trap-host',
      `import cookie from '@fastify/cookie';
       import session from '@fastify/session';
       import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
       import Fastify from 'fastify';
       import { routes } from './trap.ts';
       const app = Fastify();
       await app.register(cookie);
       await app.register(session, { secret: process.env.SESSION_SECRET!, store: new DynamoDBSessionStore({ guardReplies: false }), cookie: { secure: false } });
       routes(app);
       app.get('/', async () => 'home');
       await app.listen({ port: ${port} });`,
    );
    const { url, child } = await serve(file, port);
    let errors = '';
    child.stderr!.on('data', (chunk) => {
      errors += chunk;
    });
    const right = await fetch(`${url}/right`, { redirect: 'manual' });
    assert.equal(right.status, 302);
    const warned = once(child.stderr!, 'data');
    await fetch(`${url}/wrong`, { redirect: 'manual' }).catch(() => {});
    await warned;
    assert.match(errors, /ERR_HTTP_HEADERS_SENT.*without returning the reply/);
    assert.equal((await fetch(url)).status, 200);
  });

  it('finds the trap with its command', async () => {
    const src = join(folder, 'src');
    await mkdir(src);
    await writeFile(join(src, 'routes.ts'), snippet('trap'));
    const [install, command] = snippet('find').trim().split('\n');
    const { devDependencies } = JSON.parse(await readFile(join(here, 'package.json'), 'utf8'));
    assert.ok(install!.split(' ').at(-1)! in devDependencies);
    const [npx, name, ...args] = command!.split(' ');
    assert.deepEqual([npx, name], ['npx', 'connect-dynamodb-kms']);
    const { bin } = JSON.parse(await readFile(join(here, 'node_modules', name!, 'package.json'), 'utf8'));
    const program = join(here, 'node_modules', name!, bin[name!]);
    const { stdout, code } = await promisify(execFile)(process.execPath, [program, ...args], { cwd: folder }).catch(
      (error) => error,
    );
    assert.equal(code, 1);
    assert.match(stdout, /routes\.ts:\d+:\d+ .*GET \/wrong.*return reply\.redirect/);
    assert.doesNotMatch(stdout, /\/right/);
  });

  it('have no example that leaves recordVersion to its default', () => {
    const code = pages.flatMap((page) => [...page.matchAll(/^```[a-z]*\n([\s\S]*?)^```/gm)].map(([, block]) => block)).join('\n');
    const stores = [...code.matchAll(/new DynamoDBSessionStore\([\s\S]*?\)[;,]?(?: \/\/.*)?\n/g)].map(([made]) => made);
    assert.ok(stores.length >= 9);
    for (const made of stores) assert.match(made, /recordVersion: 2/);
  });

  it('have code that the type checker accepts', async () => {
    for (const [name, code] of snippets) if (![...SHELL, ...UNTYPED].includes(name)) await place(name, code);
    const base = JSON.parse(await readFile(join(here, 'tsconfig.json'), 'utf8'));
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ ...base, include: ['*.ts'], exclude: ['trap-host.ts'] }));
    await promisify(execFile)('npx', ['tsc', '--noEmit', '-p', folder], { cwd: here }).catch((error) =>
      assert.fail(error.stdout),
    );
  });

  it('have the same snippet wherever one of that name stands', () => {
    for (const [name, code] of marked) assert.equal(code, snippets.get(name), name);
  });

  it('write the sessions of connect-redis as JSON lines', async () => {
    const redis = join(folder, 'node_modules', 'redis');
    await mkdir(redis, { recursive: true });
    await writeFile(join(redis, 'package.json'), '{ "name": "redis", "type": "module", "exports": "./index.js" }');
    // As the client of Redis gives keys, values and times to live.
    const client = `export const createClient = () => ({
      async connect() {},
      async close() {},
      async *scanIterator({ MATCH }) { yield ['a', 'b', 'gone'].map((sid) => MATCH.replace('*', sid)); },
      get: async (key) => ({ 'sess:a': '{"user":"ada"}', 'sess:b': '{"user":"bob"}' })[key] ?? null,
      pTTL: async (key) => (key === 'sess:a' ? 60_000 : -1),
    });`;
    await writeFile(join(redis, 'index.js'), client);
    const before = Date.now() / 1000;
    const [a, b, ...others] = (await output('redis'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual([a.sid, a.session, b, others], ['a', '{"user":"ada"}', { sid: 'b', session: '{"user":"bob"}' }, []]);
    assert(a.expires >= before + 60 && a.expires <= Date.now() / 1000 + 60);
  });

  it('have no snippet that is not run', () => {
    assert.deepEqual([...used, ...ELSEWHERE].sort(), [...snippets.keys()].sort());
    const code = pages.flatMap((page) => [...page.matchAll(/^```(ts|js)$/gm)]).length;
    assert.equal(marked.filter(([name]) => !SHELL.includes(name)).length, code);
  });
});
