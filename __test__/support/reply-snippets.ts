// Handlers and hooks of Fastify applications as people write them: those that answer without anybody waiting for the answer, and those
// that are right. Each is a file of its own; `app` is a Fastify instance.

/** What a wrong snippet is called, per answer that nobody waits for: `line:column`, what it is, and what to write instead. */
export interface Wrong {
  source: string;
  found: [place: string, what: string, write: string | RegExp][];
  extension?: string;
}

const callback = /^a callback answers: write `return reply` or `await reply` at the end of the handler$/;
const resolveIt = /^resolve the promise with the reply, or write `await reply`/;

export const wrong: Record<string, Wrong> = {
  'a handler that sends': {
    source: `app.get('/login', async (request, reply) => {\n  reply.send({ ok: true });\n});`,
    found: [['2:3', 'GET /login', 'write `return reply.send(…)`']],
  },
  'a redirect': {
    source: `app.post('/login', async (request, reply) => { reply.redirect('/') });`,
    found: [['1:48', 'POST /login', "write `return reply.redirect('/')`"]],
  },
  'an answer over several lines': {
    source: `app.addHook('onRequest', async (request, reply) => {\n  if (request.user) return;\n  reply\n    .code(401)\n    .send({ error: 'denied' });\n});`,
    found: [['3:3', 'onRequest hook', 'write `return reply.code(401).send(…)`']],
  },
  'an answer, then an empty return': {
    source: `app.addHook('preHandler', async (request, reply) => { if (!request.user) { reply.code(401).send(); return; } });`,
    found: [['1:76', 'preHandler hook', 'write `return reply.code(401).send()`']],
  },
  'return void': {
    source: `app.addHook('preParsing', async (request, reply) => { return void reply.code(401).send(); });`,
    found: [['1:67', 'preParsing hook', 'write `return reply.code(401).send()`, without void']],
  },
  'an arrow function whose value is void': {
    source: `app.addHook('preValidation', async (request, reply) => void reply.send(1));`,
    found: [['1:61', 'preValidation hook', 'write `return reply.send(1)`']],
  },
  'a value returned after the answer': {
    source: `app.get('/', async (request, reply) => { reply.send(1); return { ok: true }; });`,
    found: [['1:42', 'GET /', 'write `await reply.send(1)` before it returns another value']],
  },
  'an error after the answer': {
    source: `app.get('/', async (request, reply) => { reply.code(401).send(); throw new Error('denied'); });`,
    found: [['1:42', 'GET /', 'answer or throw, not both: write `return reply.code(401).send()`']],
  },
  'the catch block of a guard': {
    source: `app.decorate('authenticate', async function (request, reply) {\n  try { await request.jwtVerify(); } catch (error) { reply.send(error); }\n});`,
    found: [['2:54', 'decorator authenticate', 'write `return reply.send(error)`']],
  },
  'only one of two branches': {
    source: `app.get('/', async (request, reply) => {\n  if (request.a) return reply.send(1);\n  else reply.send(2);\n});`,
    found: [['3:8', 'GET /', 'write `return reply.send(2)`']],
  },
  'a case of a switch': {
    source: `app.get('/', async (request, reply) => {\n  switch (request.a) {\n    case 1: return reply.send(1);\n    case 2: reply.send(2); break;\n    default: throw new Error();\n  }\n});`,
    found: [['4:13', 'GET /', 'write `return reply.send(2)`']],
  },
  'a case that falls through to a return': {
    source: `app.get('/', async (request, reply) => {\n  switch (request.a) {\n    case 1: reply.send(1);\n    default: return { a: 1 };\n  }\n});`,
    found: [['3:13', 'GET /', /^write `await reply\.send\(1\)`/]],
  },
  'a loop that is left': {
    source: `app.get('/', async (request, reply) => {\n  for (const one of request.all) {\n    if (one.bad) { reply.send(one); break; }\n  }\n});`,
    found: [['3:20', 'GET /', 'write `return reply.send(one)`']],
  },
  'a try block with finally': {
    source: `app.get('/', async (request, reply) => { try { reply.send(1); } finally { await client.release(); } });`,
    found: [['1:48', 'GET /', 'write `return reply.send(1)`']],
  },
  'a short cut': {
    source: `app.get('/', async (request, reply) => { request.user || reply.code(401).send(); });`,
    found: [['1:58', 'GET /', 'write `return reply.code(401).send()`']],
  },
  'a conditional expression of which one branch waits': {
    source: `app.get('/', async (request, reply) => { request.a ? await reply.send(1) : reply.send(2); });`,
    found: [['1:76', 'GET /', 'write `return reply.send(2)`']],
  },
  'callNotFound, sendFile and answers of plugins': {
    source: `app.get('/', async (request, reply) => {\n  if (request.a) reply.callNotFound();\n  else if (request.b) reply.sendFile('a.html');\n  else reply.unauthorized();\n});`,
    found: [
      ['2:18', 'GET /', 'write `return reply.callNotFound()`'],
      ['3:23', 'GET /', "write `return reply.sendFile('a.html')`"],
      ['4:8', 'GET /', 'write `return reply.unauthorized()`'],
    ],
  },
  'another name of the parameter': {
    source: `app.put('/', async (req, res) => { res.status(201).send(); });`,
    found: [['1:36', 'PUT /', 'write `return res.status(201).send()`']],
  },
  'a method taken out of the reply': {
    source: `app.get('/', async (request, { send }) => { send(1); });`,
    found: [['1:45', 'GET /', 'write `return send(1)`']],
  },
  'a method taken out of the reply later': {
    source: `app.get('/', async (request, reply) => { const { redirect: go } = reply; go('/'); });`,
    found: [['1:74', 'GET /', "write `return go('/')`"]],
  },
  'a variable that is the reply': {
    source: `app.get('/', async (request, reply) => { const answer = reply.code(200).type('text/html'); answer.send('x'); });`,
    found: [['1:92', 'GET /', "write `return answer.send('x')`"]],
  },
  'a reply taken out of a context': {
    source: `app.get('/', async (request, reply) => { await inside({ request, reply }); });\nasync function inside({ request, reply }) { reply.send(1); }`,
    found: [['2:45', 'GET /', 'write `return reply.send(1)`']],
  },
  'a callback': {
    source: `app.get('/', async (request, reply) => { db.query('…', (error, rows) => reply.send(rows)); });`,
    found: [['1:73', 'GET /', callback]],
  },
  'a callback that returns the reply to nobody': {
    source: `app.get('/', async (request, reply) => { rows.forEach((row) => { return reply.send(row); }); });`,
    found: [['1:73', 'GET /', callback]],
  },
  'an event': {
    source: `app.get('/', async (request, reply) => { job.onend = () => { reply.send(1); }; });`,
    found: [['1:62', 'GET /', callback]],
  },
  'a promise that nobody awaits': {
    source: `app.get('/', async (request, reply) => { load().then((all) => reply.send(all)).catch((error) => reply.send(error)); });`,
    found: [
      ['1:63', 'GET /', 'write `return reply.send(all)`, and return or await what calls it'],
      ['1:97', 'GET /', 'write `return reply.send(error)`, and return or await what calls it'],
    ],
  },
  'a promise of which a callback gives nothing back': {
    source: `app.get('/', async (request, reply) => { await load().then((all) => { reply.send(all); }); });`,
    found: [['1:71', 'GET /', 'write `return reply.send(all)`, and return or await what calls it']],
  },
  'a promise that is resolved with nothing': {
    source: `app.get('/', async (request, reply) => {\n  await new Promise((resolve) => db.query('…', (error, rows) => { reply.send(rows); resolve(); }));\n});`,
    found: [['2:67', 'GET /', resolveIt]],
  },
  'a function that is called at once': {
    source: `app.get('/', async (request, reply) => { (async () => { return reply.send(1); })(); });`,
    found: [['1:64', 'GET /', /^write `return reply\.send\(1\)`, and return or await what calls it$/]],
  },
  'a handler that returns a promise without async': {
    source: `app.get('/', (request, reply) => load().then((all) => { reply.send(all); }));`,
    found: [['1:57', 'GET /', /^write `return reply\.send\(all\)`, and return/]],
  },
  'a handler that returns a new promise without async': {
    source: `app.get('/', (request, reply) => { return new Promise((resolve) => { reply.send(1); resolve(); }); });`,
    found: [['1:70', 'GET /', resolveIt]],
  },
  'an answer, and another promise returned without async': {
    source: `app.get('/', (request, reply) => { reply.send(1); return save().then(log); });`,
    found: [['1:36', 'GET /', 'return the reply instead of another promise']],
  },
  'a helper that gives nothing back': {
    source: `function deny(reply) { reply.code(401).send(); }\napp.get('/', async (request, reply) => { if (!request.user) return deny(reply); });`,
    found: [['2:68', 'GET /', 'let deny() return the reply, and write `return deny(reply)`']],
  },
  'a helper whose reply is not returned': {
    source: `const deny = (reply) => reply.code(401).send();\napp.get('/', async (request, reply) => { if (!request.user) { deny(reply); return; } });`,
    found: [['2:63', 'GET /', 'write `return deny(reply)`']],
  },
  'an async helper that is awaited and does not wait itself': {
    source: `async function show(reply, id) { const one = await load(id); reply.send(one); }\napp.get('/', async (request, reply) => { await show(reply, 1); });`,
    found: [['1:62', 'GET /', 'write `return reply.send(one)`']],
  },
  'a synchronous handler that returns what an async function gives': {
    source: `app.get('/', (req, res) => show(req, res, app));\nasync function show(req, res, app) { res.send(await app.load()); }`,
    found: [['2:38', 'GET /', 'write `return res.send(await app.load())`']],
  },
  'a helper that returns a promise without async': {
    source: `app.get('/', async (request, reply) => { await show(reply); });\nfunction show(reply) { return load().then((all) => { reply.send(all); }); }`,
    found: [['2:54', 'GET /', /^write `return reply\.send\(all\)`/]],
  },
  'an async helper with the request, of which one caller does not wait': {
    source: `app.get('/a', async (request, reply) => { await show(request, reply); return reply; });
app.get('/b', async (request, reply) => { await show(request, reply); });
async function show(request, reply) { reply.send(1); }`,
    found: [['3:39', 'GET /b', 'write `return reply.send(1)`']],
  },
  'functions in a call in a list': {
    source: `app.get('/', { preHandler: app.auth([guard, async (q, r) => { r.send(1); }]) }, async () => 1);\nasync function guard(q, r) { r.send(2); }`,
    found: [
      ['1:63', 'preHandler hook of GET /', 'write `return r.send(1)`'],
      ['2:30', 'preHandler hook of GET /, guard', 'write `return r.send(2)`'],
    ],
  },
  'a helper inside the handler': {
    source: `app.get('/', async (request, reply) => {\n  const deny = () => { reply.code(401).send(); };\n  if (!request.user) return deny();\n});`,
    found: [['3:29', 'GET /', 'let deny() return the reply, and write `return deny()`']],
  },
  'a method of the reply that the application added': {
    source: `app.decorateReply('fail', function (code) { this.code(code).send({ code }); });\napp.get('/', async (request, reply) => { reply.fail(401); });`,
    found: [['2:42', 'GET /', 'let fail() return the reply, and write `return reply.fail(401)`']],
  },
  'app.route with a handler, hooks in a list and an error handler': {
    source: `app.route({\n  method: 'POST', url: '/pay',\n  onRequest: async (q, r) => { r.send(1); },\n  preHandler: [async (q, r) => { r.send(2); }, (q, r, done) => { r.send(3); }],\n  errorHandler: async (e, q, r) => { r.send(e); },\n  async handler(q, r) { r.send(4); },\n});`,
    found: [
      ['3:32', 'onRequest hook of POST /pay', 'write `return r.send(1)`'],
      ['4:34', 'preHandler hook of POST /pay', 'write `return r.send(2)`'],
      ['5:38', 'errorHandler of POST /pay', 'write `return r.send(e)`'],
      ['6:25', 'POST /pay', 'write `return r.send(4)`'],
    ],
  },
  'options of a shorthand route': {
    source: `app.get('/me', { preValidation: async (q, r) => { r.code(401).send(); } }, async () => 1);`,
    found: [['1:51', 'preValidation hook of GET /me', 'write `return r.code(401).send()`']],
  },
  'error handler and not-found handler': {
    source: `app.setErrorHandler(async (e, q, r) => { r.send(e); });\napp.setNotFoundHandler({ preHandler: async (q, r) => { r.send(1); } }, async (q, r) => { r.code(404).send(); });`,
    found: [
      ['1:42', 'error handler', 'write `return r.send(e)`'],
      ['2:56', 'preHandler hook', 'write `return r.send(1)`'],
      ['2:90', 'not-found handler', 'write `return r.code(404).send()`'],
    ],
  },
  'a function that is registered by its name': {
    source: `app.route({ method: ['GET', 'HEAD'], url: '/', preHandler: [guard], handler: page });\nasync function guard(q, r) { r.code(401).send(); }\nconst page = async (q, r) => { r.send(1); };`,
    found: [
      ['2:30', 'preHandler hook of GET|HEAD /, guard', 'write `return r.code(401).send()`'],
      ['3:32', 'GET|HEAD /, page', 'write `return r.send(1)`'],
    ],
  },
  'a handler in a wrapper': {
    source: `app.get('/', traced('page', async (q, r) => { r.send(1); }));`,
    found: [['1:47', 'GET /', 'write `return r.send(1)`']],
  },
  'a bound method': {
    source: `class Pages {\n  register(app) { app.get('/', this.show.bind(this)); app.post('/', this.save); }\n  async show(q, r) { this.deny(r); }\n  async save(q, r) { r.send(1); }\n  deny(r) { r.code(401).send(); }\n}`,
    found: [
      ['3:22', 'GET /, show', 'let this.deny() return the reply, and write `return this.deny(r)`'],
      ['4:22', 'POST /, save', 'write `return r.send(1)`'],
    ],
  },
  'a plugin': {
    source: `module.exports = async function plugin(app, options) {\n  app.register(async (inner) => { inner.get('/a', async (q, r) => { r.send(1); }); });\n  app.addHook('onRequest', guard);\n  async function guard(q, r) { r.send(2); }\n};`,
    found: [
      ['2:69', 'GET /a', 'write `return r.send(1)`'],
      ['4:32', 'onRequest hook, guard', 'write `return r.send(2)`'],
    ],
  },
  'exported functions and methods that take a request and a reply': {
    source: `export async function show(request, reply) { reply.send(1); }\nexport default async (req, reply) => { reply.send(2); };\nexport class Pages { async save(_request, rep) { rep.send(3); } }`,
    found: [
      ['1:46', 'function show', 'write `return reply.send(1)`'],
      ['2:40', 'export default', 'write `return reply.send(2)`'],
      ['3:50', 'method save', 'write `return rep.send(3)`'],
    ],
  },
  TypeScript: {
    source: `import type { FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify';\nexport const show = async ({ params }: FastifyRequest<{ Params: Id }>, answer: FastifyReply): Promise<void> => {\n  (answer as any)!.code(200)?.send<Body>(params.id satisfies string);\n};\nexport const guard: preHandlerHookHandler = async (a, b) => { b.send(1); };`,
    extension: 'ts',
    found: [
      ['3:3', 'function show', /^write `return .*code\(200\)\.send\(/],
      ['5:63', 'guard (preHandlerHookHandler)', 'write `return b.send(1)`'],
    ],
  },
  'TypeScript with decorators and parameter properties': {
    source: `@Controller({ route: '/a' })\nexport default class A {\n  constructor(private readonly db: Db) {}\n  @GET({ url: '/' }) async get(request: FastifyRequest, @Res() reply: FastifyReply) { reply.send(await this.db.all()); }\n}`,
    extension: 'ts',
    found: [['4:87', 'method get', 'write `return reply.send(await this.db.all())`']],
  },
  JSX: {
    source: `app.get('/', async (request, reply) => { reply.send(render(<Page user={request.user} />)); });`,
    extension: 'jsx',
    found: [['1:42', 'GET /', 'write `return reply.send(…)`']],
  },
  'JSX in a file that ends with .js': {
    source: `app.get('/', async (request, reply) => { reply.send(render(<Page />)); });`,
    found: [['1:42', 'GET /', 'write `return reply.send(render(<Page />))`']],
  },
  'text outside ASCII in front': {
    source: `const é = '😀'; app.get('/ü', async (request, reply) => { reply.send('ß') });`,
    found: [['1:59', 'GET /ü', "write `return reply.send('ß')`"]],
  },
};

export const right: Record<string, string> = {
  'return reply.send()': `app.get('/', async (request, reply) => { return reply.code(201).send(1); });`,
  'await reply.send()': `app.get('/', async (request, reply) => { await reply.send(1); });`,
  'await, then a value': `async function guard(request, reply) { await reply.code(401).send(); return false; }`,
  'send, then return reply': `app.get('/', async (request, reply) => { reply.send(1); return reply; });`,
  'send, then await reply': `app.get('/', async (request, reply) => { reply.send(1); log(); await reply; });`,
  'the value of an arrow function': `app.get('/', async (request, reply) => reply.send(1));`,
  'a conditional value': `app.get('/', async (request, reply) => request.a ? reply.send(1) : reply.callNotFound());`,
  'a conditional return': `app.get('/', async (request, reply) => { return request.a ? reply.send(1) : { b: 1 }; });`,
  'a short cut that is returned': `app.get('/', async (request, reply) => { return request.a && reply.send(1); });`,
  'a value alone': `app.get('/', async (request, reply) => { reply.code(201).header('a', 'b'); return { a: 1 }; });`,
  'early exits': `app.get('/', async (request, reply) => {
    if (!request.a) return reply.code(401).send();
    try { await load(); } catch (error) { return reply.send(error); } finally { release(); }
    switch (request.b) { case 1: return reply.send(1); default: await reply.send(2); }
  });`,
  'answers in branches, and a wait for all of them': `app.get('/', async (request, reply) => {
    if (request.a) reply.send(1); else { reply.send(2); }
    return reply;
  });`,
  'a synchronous handler': `app.get('/', (request, reply) => { reply.send(1); });\napp.post('/', function (request, reply) { reply.send(1); return; });`,
  'a synchronous handler that returns the reply': `app.get('/', (request, reply) => reply.send(1));`,
  'a synchronous handler with promises and callbacks': `app.get('/', (request, reply) => {
    load().then((all) => { reply.send(all); }, (error) => { reply.send(error); });
  });
  app.get('/a', (request, reply) => db.query('…', (error, rows) => { reply.send(rows); }));`,
  'a callback-style hook': `app.addHook('onRequest', (request, reply, done) => { if (!request.user) { reply.code(401).send(); return; } done(); });`,
  'a reply that is hijacked': `app.get('/', async (request, reply) => { reply.hijack(); reply.raw.end(); reply.send(1); });`,
  'a raw answer': `app.get('/', async (request, reply) => { reply.raw.writeHead(200); reply.raw.end('x'); });`,
  'reply.sent of Fastify 3': `app.get('/', async (request, reply) => { reply.sent = true; reply.raw.end(); });`,
  'a callback, and a wait for the reply': `app.get('/', async (request, reply) => { db.query('…', (error, rows) => { reply.send(rows); }); return reply; });`,
  'a promise chain that is awaited': `app.get('/', async (request, reply) => { await load().then((all) => reply.send(all)).catch((e) => reply.send(e)); });`,
  'a promise chain that is returned': `app.get('/', (request, reply) => load().then((all) => reply.send(all)));`,
  'a promise in a variable': `app.get('/', async (request, reply) => { const done = load().then((all) => reply.send(all)); log(); await done; });`,
  'a promise that is resolved with the reply': `app.get('/', async (request, reply) => {
    await new Promise((resolve) => db.query('…', (error, rows) => { if (error) return resolve(reply.send(error)); reply.send(rows); resolve(reply); }));
  });`,
  'a promise that never settles': `app.get('/', async (request, reply) => { await new Promise(() => job.on('end', () => reply.send(1))); });`,
  'a promise that is never resolved': `app.get('/', async (request, reply) => { await new Promise((resolve, $no) => job.on('end', () => { reply.send(1); })); });`,
  'a transaction that is awaited': `app.get('/', async (request, reply) => { await db.transaction(async (tx) => { await tx.save(); return reply.send(1); }); });`,
  'answers of a list that are awaited': `app.get('/', async (request, reply) => { await Promise.all(all.map(async (one) => { if (one) await reply.send(one); })); });`,
  'a wait for the end of the response': `app.get('/', async (request, reply) => { reply.send(stream); await once(reply.raw, 'finish'); });`,
  'a helper that returns the reply': `const deny = (reply) => reply.code(401).send();\napp.get('/', async (request, reply) => { if (!request.user) return deny(reply); });`,
  'an async helper that waits': `async function deny(reply) { await reply.code(401).send(); }\napp.get('/', async (request, reply) => { if (!request.user) await deny(reply); });`,
  'an async helper with the request, and a wait': `app.get('/', async (request, reply) => { await show(request, reply); return reply; });\nasync function show(request, reply) { reply.send(1); }`,
  'a helper, and a wait': `function deny(reply) { reply.code(401).send(); }\napp.get('/', async (request, reply) => { deny(reply); return reply; });`,
  'a helper whose value decides': `function deny(reply) { if (bad) return reply.code(401).send(); }\napp.get('/', async (request, reply) => { const denied = deny(reply); if (denied) return denied; return 1; });`,
  'a helper that nobody calls from an async handler': `function show(reply) { reply.send(1); }\napp.get('/', (request, reply) => { show(reply); });`,
  'a reply method of the application that returns it': `app.decorateReply('fail', function (code) { return this.code(code).send(); });\napp.get('/', async (request, reply) => reply.fail(401));`,
  'hooks that run when there is an answer': `app.addHook('onResponse', async (request, reply) => { reply.send(1); });`,
  'a name that is something else': `app.get('/', async (request, reply) => { for (const reply of replies) reply.send(1); });\napp.get('/a', async (request, reply) => { mails.map((reply) => reply.send(1)); });`,
  'a websocket': `app.get('/ws', { websocket: true }, async (socket, request) => { socket.send('hello'); });`,
  Express: `import express from 'express';\nconst app = express();\napp.get('/', async (req, res) => { res.send('hello'); });`,
  'another library with the same methods': `const page = await client.get('https://example.com', async (a, b) => { b.send(1); });`,
  'a silenced answer': `app.get('/', async (request, reply) => {\n  // check-replies: ignore (the in-memory store is used here)\n  reply.send(1);\n});`,
};
