// From the command line and the environment to the store's configuration, the port and the secret that signs the cookie.

import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SealedStoreConfig, SessionStoreConfig } from 'connect-dynamodb-kms';

/** Where the sessions lie, in words for the page. */
export interface Place {
  table: string;
  wrappedBy: string;
  /** Whether both are files, so that no requests are sent. */
  isLocal: boolean;
}

export interface Settings {
  store: SessionStoreConfig;
  /** What the stores of other items have in common with it: the table and the key. */
  items: SealedStoreConfig;
  place: Place;
  host: string;
  port: number;
  cookieSecret: string;
}

/** A setting that cannot be used. The message says which one and what to write instead. */
export class SettingsError extends Error {}

const FOLDER = fileURLToPath(new URL('../.sessions', import.meta.url));
/** Nobody but this machine, unless the environment says otherwise, as a container's must. */
const HOST = '127.0.0.1';
/** The default of touchAfter, 1 % of the lifetime, saves writes; here every touch is to be seen on the page. */
const STORE = { recordVersion: 2, touchAfter: 1 } satisfies SessionStoreConfig;
const SHORTEST_SECRET = 32; // @fastify/session takes no shorter one

/**
 * @param args the command line: nothing for the local mode, `--aws` for DynamoDB and KMS.
 * @throws {SettingsError} if something is missing or cannot be used.
 */
export function readSettings(args: readonly string[], env: NodeJS.ProcessEnv): Settings {
  const unknown = args.find((arg) => arg !== '--aws');
  if (unknown !== undefined) throw new SettingsError(`"${unknown}" is not an option. There is one: --aws`);
  const port = readPort(env.PORT);
  const host = env.HOST || HOST;
  const folder = env.SESSIONS_FOLDER || FOLDER;
  const cookieSecret = readCookieSecret(env.SESSION_SECRET, folder);
  // A secret of its own, as long as sessions last: with a new cookie secret, nobody is signed in any more.
  const users = { idOf: 'user.email', secret: createHmac('sha256', cookieSecret).update('users').digest('base64url') };
  if (!args.includes('--aws')) {
    const place = {
      table: 'a file in the folder .sessions',
      wrappedBy: 'the key file of local mode, instead of AWS KMS',
      isLocal: true,
    };
    const items = { local: { path: folder } };
    return { store: { ...STORE, users, ...items }, items, place, host, port, cookieSecret };
  }
  const tableName = required(env, 'SESSIONS_TABLE');
  const kmsKeyArn = required(env, 'KMS_KEY_ARN');
  // Region, endpoints and credentials: the store reads AWS_REGION, AWS_ENDPOINT_URL_* and the default credential chain itself.
  const atOwn = (service: string) => (env[`AWS_ENDPOINT_URL_${service}`] || env.AWS_ENDPOINT_URL ? ' at your own endpoint' : '');
  const place = {
    table: `the DynamoDB table ${tableName}${atOwn('DYNAMODB')}`,
    wrappedBy: atOwn('KMS') ? 'the KMS at your own endpoint' : 'AWS KMS',
    isLocal: false,
  };
  const items = { tableName, kmsKeyArn };
  return { store: { ...STORE, users, ...items }, items, place, host, port, cookieSecret };
}

function readPort(text = '3000'): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new SettingsError(`PORT is "${text}"; it takes a number from 0 to 65535.`);
  return port;
}

function required(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (!value)
    throw new SettingsError(
      `${name} is not set. With --aws, set SESSIONS_TABLE to the table's name and KMS_KEY_ARN to the key's ARN.`,
    );
  return value;
}

/** The secret must outlive the process: with a new one, every browser's cookie would be refused after a restart. */
function readCookieSecret(given: string | undefined, folder: string): string {
  if (given !== undefined) {
    if (given.length < SHORTEST_SECRET)
      throw new SettingsError(`SESSION_SECRET has ${given.length} characters; it takes at least ${SHORTEST_SECRET}.`);
    return given;
  }
  const file = join(folder, 'cookie-secret');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(file, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // EACCES in a container, whose user may write nowhere.
    const reason = `SESSION_SECRET is not set, and a secret cannot be kept in ${folder} (${message})`;
    if (code !== 'EEXIST') throw new SettingsError(`${reason}. Set it to at least ${SHORTEST_SECRET} characters.`);
  }
  const secret = readFileSync(file, 'utf8').trim();
  if (secret.length < SHORTEST_SECRET)
    throw new SettingsError(`${file} holds no usable secret. Delete it; the next start makes a new one.`);
  return secret;
}
