// Starts the gateway on this machine and ends it properly.

import { DynamoDBSessionStore, SealedStore, SessionStoreError } from 'connect-dynamodb-kms';
import { type Bearer, buildGateway, type PendingLogin } from './gateway.ts';
import { readSettings, SettingsError } from './settings.ts';

async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2), process.env);
  const store = new DynamoDBSessionStore(settings.store);
  // In the same table, sealed in the same way, under prefixes of their own.
  const pendingLogins = new SealedStore<PendingLogin>({ ...settings.items, prefix: 'login:', ttlSeconds: 600 });
  const bearers = new SealedStore<Bearer>({ ...settings.items, prefix: 'bearer:', ttlSeconds: 3600 });
  const stores = [store, pendingLogins, bearers];
  const { cookieSecret, place } = settings;
  const app = await buildGateway({ store, pendingLogins, bearers, cookieSecret, place });

  let ending: Promise<void> | undefined;
  const end = () => {
    ending ??= app
      .close()
      .then(() => Promise.all(stores.map((store) => store.close())))
      .then(() => {});
    return ending;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => void end().then(() => process.exit(0), fail));
  }

  // What is answered from then on closes its connection: kept alive, it would hold the end up for more than a minute.
  app.addHook('onSend', async (_request, reply) => {
    if (ending) reply.header('connection', 'close');
  });

  let address: string;
  try {
    address = await app.listen({ host: settings.host, port: settings.port });
    await store.ping();
  } catch (error) {
    await end();
    throw error;
  }
  console.log(`The gateway runs: ${address}  (pid ${process.pid}; sessions in ${settings.place.table})`);
  console.log(`What its stores do, live: ${address}/calls`);
}

function fail(error: unknown): void {
  const { code, port } = error as NodeJS.ErrnoException & { port?: number };
  if (code === 'EADDRINUSE')
    console.error(`Port ${port} is taken. Is the gateway running already? Another port: PORT=3001 npm start`);
  else if (error instanceof SettingsError) console.error(error.message);
  else if (error instanceof SessionStoreError) console.error(`The session store cannot be used: ${error.detail} (${error.code})`);
  else console.error(error);
  process.exit(1);
}

main().catch(fail);
